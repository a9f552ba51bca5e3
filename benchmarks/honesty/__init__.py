"""Experiments on our own honesty: how often is each gate wrong?"""
