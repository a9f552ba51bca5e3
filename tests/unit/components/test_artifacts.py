"""Lists among an artifact's metadata, as a laptop and as a cluster hand them on."""

from types import SimpleNamespace

import pytest

from components.artifacts import listed_in


@pytest.mark.parametrize("stored", [[1, 2], {"list": [1, 2]}])
def test_a_list_is_read_from_a_laptop_and_from_ml_metadata(stored):
    assert listed_in(SimpleNamespace(path="", metadata={"paths": stored}), "paths") == [1, 2]


def test_a_list_that_is_not_there_is_empty():
    assert listed_in(SimpleNamespace(path="", metadata={}), "paths") == []
