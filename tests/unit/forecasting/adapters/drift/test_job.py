"""What a drift run publishes: a sample for what was measured, none for what was not."""

from dataclasses import replace

from forecasting.adapters.drift.job import summary_samples
from forecasting.live.variance import RealisedVariance
from tests.unit.forecasting.adapters.drift.test_history import a_summary


def ratios(summary):
    """Samples about the realised variance: name, labels and value."""
    return [
        (sample.metric.name.removeprefix("bellwether_realised_variance_"), sample.labels, sample.value)
        for sample in summary_samples(summary)
        if "variance" in sample.metric.name
    ]  # fmt: skip


def test_a_ratio_is_published_with_the_limits_it_has():
    old = RealisedVariance("3", 1, 360, 60, 1.2, 0.86, 1.14)
    young = RealisedVariance("4", 5, 18, 3, 0.7, None, None)
    assert ratios(replace(a_summary(), variances=(old, young))) == [
        ("ratio", ("3", "1"), 1.2),
        ("ratio_limit", ("3", "1", "low"), 0.86),
        ("ratio_limit", ("3", "1", "high"), 1.14),
        ("ratio", ("4", "5"), 0.7),
    ]


def test_versions_without_forecasts_that_have_come_due_publish_no_ratio():
    assert ratios(a_summary()) == []


def test_what_is_left_out_is_published_by_its_reason():
    published = [
        (one.labels, one.value)
        for one in summary_samples(a_summary())
        if one.metric.name == "bellwether_left_out_forecasts"
    ]
    assert published == [
        (("3", "5", "late"), 2.0),
        (("3", "5", "learned"), 44.0),
        (("3", "5", "ended"), 7.0),
    ]
