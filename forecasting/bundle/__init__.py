"""A trained model as files that a server loads without training libraries."""
