"""Kubernetes: routes, model versions and how ready they are."""
