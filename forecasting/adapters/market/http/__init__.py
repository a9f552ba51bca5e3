"""Requests to price providers: deadlines, budgets, retries."""
