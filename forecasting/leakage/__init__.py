"""Checks for look-ahead, overlap and survivorship in training data."""
