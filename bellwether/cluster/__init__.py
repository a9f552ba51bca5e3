"""Installs Bellwether on a cluster and looks after it there."""
