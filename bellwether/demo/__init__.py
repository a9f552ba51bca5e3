"""The whole platform on one machine: `bellwether demo`."""
