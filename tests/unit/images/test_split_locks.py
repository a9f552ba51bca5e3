"""Each image's layers together hold its lock, and what images share stands in one of them."""

from pathlib import Path

import pytest

from images.split_locks import LAYERS, main, requirements, split

LOCKS = Path(__file__).parents[3] / "locks"
MADE = {
    "serving": "# by a tool\none==1 \\\n    --hash=sha256:1\n    # via\n    #   all\ntwo==2 \\\n    --hash=sha256:2\n",
    "ui": "one==1 \\\n    --hash=sha256:1\n    # via\n    #   ui\n",
    "pipeline": "one==1 \\\n    --hash=sha256:1\ntwo==2 \\\n    --hash=sha256:2\nthree==3\n",
}


def test_what_is_shared_is_in_the_layer_of_those_who_share_it():
    assert split(MADE) == {
        "common": ["one==1 \\\n    --hash=sha256:1"],
        "model": ["two==2 \\\n    --hash=sha256:2"],
        "pipeline": ["three==3"],
    }


def test_what_two_share_without_a_layer_is_in_each_ones_own():
    layers = split({"serving": "one==1\n", "ui": "one==1\n", "pipeline": ""})
    assert layers == {"serving": ["one==1"], "ui": ["one==1"]}


def test_another_version_or_hash_is_not_shared():
    layers = split({"serving": "one==1\n", "ui": "one==2\n", "pipeline": "one==1 --hash=x\n"})
    assert layers == {"serving": ["one==1"], "ui": ["one==2"], "pipeline": ["one==1 --hash=x"]}


@pytest.mark.parametrize("image", LAYERS)
def test_the_layers_of_an_image_are_its_lock(image, tmp_path):
    main(LOCKS, tmp_path)
    found = [
        one
        for layer in LAYERS[image]
        for one in requirements((tmp_path / f"{layer}.txt").read_text())
    ]
    assert sorted(found) == sorted(requirements((LOCKS / f"{image}.txt").read_text()))
    assert len(found) == len(set(found))
    assert all("--hash=sha256:" in one for one in found)
