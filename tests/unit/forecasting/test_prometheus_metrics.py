"""Metric names are a contract with dashboards and alerts: well formed, and declared once."""

import re

import pytest

from forecasting import prometheus_metrics
from forecasting.prometheus_metrics import ALL, Metric


def test_every_metric_of_the_module_is_listed_once():
    declared = [one for one in vars(prometheus_metrics).values() if isinstance(one, Metric)]
    assert list(ALL) == declared
    assert len({metric.name for metric in ALL}) == len(ALL)


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.name)
def test_a_metric_is_named_by_the_conventions(metric):
    assert re.fullmatch(r"bellwether(_[a-z0-9]+)+", metric.name)
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert metric.help.endswith(".")
    assert all(re.fullmatch(r"[a-z_]+", label) for label in metric.labels)
    assert "le" not in metric.labels


def test_the_names_that_dashboards_and_alerts_read_stay():
    names = {metric.name.removeprefix("bellwether_") for metric in ALL}
    assert names == {
        *(
            "requests_total",
            "shadow_requests_total",
            "refusals_total",
            "refused_symbols_total",
            "request_duration_seconds",
            "shadow_request_duration_seconds",
            "predictions_total",
            "signals_total",
        ),
        *("feature_age_seconds", "last_price_timestamp_seconds", "bars_held", "model_info"),
        *("model_calibration", "calibration_timestamp_seconds"),
        *("stale_answers_total", "reloads_total", "prediction_log_rows_total"),
        *("drift_share", "drift_detected", "drift_score", "drift_threshold", "retraining_due"),
        *("quality_evidence", "quality_evidence_limit", "quality_degraded"),
        *("realised_pinball_loss", "realised_skill", "realised_coverage", "matured_forecasts"),
        "left_out_forecasts",
        *("realised_variance_ratio", "realised_variance_ratio_limit"),
        *("job_last_success_timestamp_seconds", "quarantined_bars", "prices_fallback"),
        *(
            "provider_disagreement_share",
            "provider_differing_actions",
            "route_weight",
            "route_rule",
        ),
        *("symbols_differing", "feature_specifications"),
    }
