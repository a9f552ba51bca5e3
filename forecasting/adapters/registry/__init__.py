"""Model versions in MLflow, and the ledger of decisions about them."""
