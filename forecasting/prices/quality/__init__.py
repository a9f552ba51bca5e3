"""Finds faults in bars and says what is done about each."""
