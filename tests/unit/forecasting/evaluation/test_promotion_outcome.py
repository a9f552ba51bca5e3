"""A training's outcome as a file and as tags: what is written is read back, damage is an error."""

import json

import pytest

from forecasting.errors import Corrupted
from forecasting.evaluation.promotion_outcome import (
    GateOutcome,
    PromotionOutcome,
    joined,
    verdict_tags,
)

OUTCOME = PromotionOutcome(
    "refused",
    "2",
    "must beat it: p 0.7; must cover: 80 %",
    (GateOutcome("beats_random_walk", False, "must beat it: p 0.7"), GateOutcome("b", True, "x")),
)


def test_an_outcome_that_was_written_is_read_back(tmp_path):
    file = tmp_path / "outcome.json"
    OUTCOME.write(file)
    assert PromotionOutcome.read(file) == OUTCOME
    assert [path.name for path in tmp_path.iterdir()] == ["outcome.json"]


def test_the_file_holds_the_documented_fields_and_unknown_ones_are_ignored(tmp_path):
    file = tmp_path / "outcome.json"
    OUTCOME.write(file)
    document = json.loads(file.read_text())
    assert list(document) == ["outcome", "version", "reason", "gates"]
    assert document["gates"][0] == {
        "name": "beats_random_walk",
        "passed": False,
        "because": "must beat it: p 0.7",
    }
    file.write_text(json.dumps(document | {"added_later": 1}))
    assert PromotionOutcome.read(file) == OUTCOME


@pytest.mark.parametrize(
    "change",
    [{"outcome": "won"}, {"outcome": ["promoted"]}, {"gates": [{"name": "a"}]}, {"gates": None}],
)
def test_a_file_with_a_wrong_field_is_called_damaged(tmp_path, change):
    file = tmp_path / "outcome.json"
    OUTCOME.write(file)
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(Corrupted, match=r"outcome\.json"):
        PromotionOutcome.read(file)


@pytest.mark.parametrize("left", [b"", b"{", b"[]", b"\xff", b'"refused"', b"{}"])
def test_a_file_that_is_no_outcome_is_called_damaged(tmp_path, left):
    file = tmp_path / "outcome.json"
    file.write_bytes(left)
    with pytest.raises(Corrupted, match="must leave its outcome as a JSON file"):
        PromotionOutcome.read(file)


def test_a_missing_file_is_an_error_of_ours(tmp_path):
    with pytest.raises(Corrupted, match="FileNotFoundError"):
        PromotionOutcome.read(tmp_path / "outcome.json")


@pytest.mark.parametrize(("verdict", "outcome"), [("promote", "promoted"), ("refuse", "refused")])
def test_the_tags_of_a_version_tell_its_outcome(verdict, outcome):
    tags = verdict_tags(verdict, ["p 0.7", "80 %"])
    assert tags == {"verdict": verdict, "verdict_reason": "p 0.7; 80 %"}
    assert PromotionOutcome.of_tags("2", tags) == PromotionOutcome(outcome, "2", "p 0.7; 80 %")


@pytest.mark.parametrize("tags", [{}, {"verdict": "default", "verdict_reason": "the default"}])
def test_a_version_that_no_gate_judged_has_no_outcome(tags):
    assert PromotionOutcome.of_tags("1", tags) is None


def test_a_long_reason_is_shortened_in_the_tag_alone():
    reasons = ["x" * 3_000, "y" * 3_000]
    assert len(verdict_tags("refuse", reasons)["verdict_reason"]) == 4_000
    assert len(joined(reasons)) == 6_002
