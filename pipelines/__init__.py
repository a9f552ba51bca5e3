"""The pipelines: what runs after what, and how to run or compile them."""
