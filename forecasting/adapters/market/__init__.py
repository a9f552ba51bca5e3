"""Price sources: one protocol, and the adapters that keep it."""
