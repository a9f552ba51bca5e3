"""One folder a step: component.py declares it for Kubeflow Pipelines, step.py does the work.

A component.py has no test of its name, as tests/golden compiles all of them; a step.py that only
joins tested functions is tested where it runs, in tests/integration/test_training_pipeline.py.
"""
