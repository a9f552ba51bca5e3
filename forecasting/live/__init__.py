"""Forecasts in production against what came: outcomes, scores, limits."""
