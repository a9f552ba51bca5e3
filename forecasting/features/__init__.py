"""Features and targets, point in time, the same in training and serving."""
