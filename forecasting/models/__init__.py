"""Candidates, their training by walk-forward, and their predictive quantiles."""
