"""The image every step runs in, named once; `python -m pipelines.compile --image` replaces it."""

from typing import Final

IMAGE: Final = "ghcr.io/bellwether/pipeline:0.1.0"
