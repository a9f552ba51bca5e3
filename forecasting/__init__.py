"""The core of Bellwether: what is true about prices, features, models and evaluation."""
