"""Servers of others, and two ceilings, that answer with the same model."""
