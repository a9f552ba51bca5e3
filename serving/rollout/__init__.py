"""Progressive delivery of a model version: `bellwether rollout`."""
