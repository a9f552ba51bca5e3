"""Compiled pipelines by their content: the hash that names a version, and the chart's own copies."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Final

from forecasting.adapters.workflows.client import NAMES
from pipelines.cluster_names import ClusterNames

CHART: Final = Path(__file__).resolve().parent.parent / "charts" / "bellwether" / "pipelines"

BLANK_IMAGE: Final = "blank-image"
BLANKS: Final = ClusterNames(
    "blank-settings", "blank-object-store", "blank-database", "blank-providers", "blank-signing"
)
"""What the chart's copies have where a release has its own image and names."""


def content_hash(package: str) -> str:
    """The name of a version: the first 12 hexadecimal digits of its text's SHA-256."""
    return sha256(package.encode()).hexdigest()[:12]


def chart_copies() -> dict[str, str]:
    """Name of a file in the chart -> the compiled pipeline with blanks, which Helm fills in.

    Filled in, a copy is byte for byte what `package` makes of the same names, so a version has the
    same name whether it was uploaded or rendered. Each pipeline is there twice: the account at a
    price provider is a Secret that steps name or do not.
    """
    from pipelines.compile import package

    without = replace(BLANKS, providers="")
    return {
        f"{name}{ending}.yaml": package(name, image=BLANK_IMAGE, names=blanks)
        for name in NAMES
        for ending, blanks in (("", without), (".providers", BLANKS))
    }


def main() -> None:
    """Write the chart's copies anew: `python -m pipelines.contents`."""
    CHART.mkdir(parents=True, exist_ok=True)
    for name, text in chart_copies().items():
        (CHART / name).write_text(text)


if __name__ == "__main__":
    main()
