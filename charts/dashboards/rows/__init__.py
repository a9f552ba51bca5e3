"""The rows of the main dashboard, one module each."""
