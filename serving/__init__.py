"""The model server: KServe's, speaking the Open Inference Protocol V2 through our own routes."""
