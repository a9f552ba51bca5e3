"""The only code of the core that touches the world: files, services, the network."""
