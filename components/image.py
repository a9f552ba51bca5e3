"""The image every step runs in, named once; `python -m pipelines.compile --image` replaces it."""

from typing import Final

# Nobody can own a name below .invalid: a pipeline that was compiled without an image runs nobody's.
IMAGE: Final = "registry.invalid/bellwether/pipeline:0.1.0"
