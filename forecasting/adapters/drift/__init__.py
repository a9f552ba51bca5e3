"""The drift job: its inputs, its history and Evidently's report."""
