"""The command's groups: one module a group of `bellwether GROUP ...`."""
