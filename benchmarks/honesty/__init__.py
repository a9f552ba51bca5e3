"""Experiments that count how often each gate is wrong."""
