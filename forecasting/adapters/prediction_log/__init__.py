"""Every forecast that was served, kept in a database."""
