"""The page: forecasts, models, monitoring, a live feed and retraining, in a browser."""
