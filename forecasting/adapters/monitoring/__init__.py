"""Prometheus: what jobs push and what is asked of it."""
