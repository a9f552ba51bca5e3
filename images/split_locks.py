"""Splits the images' locks into layers, so that what several images hold is installed once.

    python images/split_locks.py LOCKS OUT

LOCKS has serving.txt, ui.txt and pipeline.txt; OUT gets a lock for each layer of LAYERS.
"""

# ruff: noqa: INP001 - a script beside the Dockerfile, not a package

import sys
from pathlib import Path
from typing import Final

LAYERS: Final = {
    "serving": ("common", "model", "serving"),
    "ui": ("common", "tables", "ui"),
    "pipeline": ("common", "tables", "model", "pipeline"),
}
"""The layers of each image; a layer has what exactly the images that name it hold in common."""


def requirements(lock: str) -> list[str]:
    """A lock's requirements, each with its hashes and without comments."""
    found: list[str] = []
    for line in lock.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if line[0].isspace():
            found[-1] += f"\n{line}"
        else:
            found.append(line)
    return found


def split(locks: dict[str, str]) -> dict[str, list[str]]:
    """The requirements of each layer, from the text of each image's lock.

    What images share without a layer of their own is in each one's own layer.
    """
    needs = {image: requirements(lock) for image, lock in locks.items()}
    layers: dict[str, list[str]] = {}
    for image, required in needs.items():
        for requirement in required:
            holders = {other for other in needs if requirement in needs[other]}
            shared = [layer for layer in LAYERS[image] if _images(layer) == holders]
            layer = layers.setdefault(shared[0] if shared else image, [])
            if requirement not in layer:
                layer.append(requirement)
    return layers


def _images(layer: str) -> set[str]:
    return {image for image, layers in LAYERS.items() if layer in layers}


def main(locks: Path, out: Path) -> None:
    """Write every layer's lock."""
    out.mkdir(parents=True, exist_ok=True)
    texts = {image: (locks / f"{image}.txt").read_text() for image in LAYERS}
    for layer, needs in split(texts).items():
        (out / f"{layer}.txt").write_text("\n".join(needs) + "\n")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
