"""Compile the pipelines to IR YAML: `python -m pipelines.compile [--out DIR] [--image IMAGE]`."""

import argparse
import tempfile
from pathlib import Path
from typing import Final

from components.image import IMAGE

OUT: Final = Path(__file__).resolve().parent.parent / "tests" / "golden"


def compile_pipelines(out: Path, image: str = IMAGE) -> list[Path]:
    """Write training.yaml and refresh.yaml; the same code always gives the same bytes.

    Args:
        out: folder to write into.
        image: image every step runs in.

    Returns:
        The files written.
    """
    from kfp.compiler import Compiler

    from pipelines.refresh import refresh
    from pipelines.training import training

    out.mkdir(parents=True, exist_ok=True)
    written = []
    with tempfile.TemporaryDirectory(dir=out) as folder:
        for name, pipeline in (("training", training), ("refresh", refresh)):
            draft = Path(folder) / f"{name}.yaml"
            Compiler().compile(pipeline, package_path=str(draft))
            draft.write_text(draft.read_text().replace(f"image: {IMAGE}", f"image: {image}"))
            written.append(draft.replace(out / draft.name))
    return written


def main() -> None:
    """Compile from the command line."""
    parser = argparse.ArgumentParser(description="Compile the pipelines to IR YAML.")
    parser.add_argument("--out", type=Path, default=OUT, help="folder to write into")
    parser.add_argument("--image", default=IMAGE, help="image every step runs in")
    arguments = parser.parse_args()
    for path in compile_pipelines(arguments.out, arguments.image):
        print(path)  # noqa: T201 - the command's answer


if __name__ == "__main__":
    main()
