"""Drift of features and forecasts against a reference, with thresholds and verdicts."""
