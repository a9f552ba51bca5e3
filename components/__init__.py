"""One folder a step: component.py declares it for Kubeflow Pipelines, step.py does the work."""
