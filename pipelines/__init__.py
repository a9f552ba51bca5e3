"""The pipelines: what runs after what, and how to run or compile them.

tests/golden compiles the pipelines and holds them byte for byte; tests/integration runs them.
"""
