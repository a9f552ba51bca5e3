"""Scores, backtests, multiple testing and the gates of a promotion."""
