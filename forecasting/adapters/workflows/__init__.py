"""Kubeflow Pipelines' API: runs, records and schedules."""
