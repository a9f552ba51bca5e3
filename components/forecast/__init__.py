"""The forecast step."""
