"""The V2 inference protocol: tensors and messages."""
