"""Prices and features at rest, on a disk or in an object store."""
