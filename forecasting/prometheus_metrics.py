"""Every Prometheus metric of the platform: name, type, labels and help, declared once."""

from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True)
class Metric:
    """One metric family, as it appears on /metrics or in the Pushgateway."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()


# the model server
REQUESTS: Final = Metric(
    "bellwether_requests_total",
    "counter",
    "Inference requests by symbol and status code; symbol is 'other' for unknown ones.",
    ("symbol", "status"),
)
REFUSALS: Final = Metric(
    "bellwether_refusals_total",
    "counter",
    "Requests refused and connections closed before any handler saw them, by reason.",
    ("reason",),
)
REQUEST_SECONDS: Final = Metric(
    "bellwether_request_duration_seconds",
    "histogram",
    "Time from a request's last byte to its answer.",
    ("protocol",),
)
SHADOW_REQUESTS: Final = Metric(
    "bellwether_shadow_requests_total",
    "counter",
    "Copies of users' requests that a shadow answered or refused, by status code.",
    ("status",),
)
SHADOW_SECONDS: Final = Metric(
    "bellwether_shadow_request_duration_seconds",
    "histogram",
    "Time from the last byte of a copy of a request to its answer, which nobody hears.",
    ("protocol",),
)
PREDICTIONS: Final = Metric(
    "bellwether_predictions_total",
    "counter",
    "Forecasts served, by symbol, model version and direction of the median at the signal horizon.",
    ("symbol", "model_version", "direction"),
)
SIGNALS: Final = Metric(
    "bellwether_signals_total",
    "counter",
    "Trading signals served, by model version and signal.",
    ("model_version", "signal"),
)
FEATURE_AGE_SECONDS: Final = Metric(
    "bellwether_feature_age_seconds",
    "gauge",
    "Age of the newest bar in the served features.",
)
LAST_PRICE_TIMESTAMP: Final = Metric(
    "bellwether_last_price_timestamp_seconds",
    "gauge",
    "Close of the newest bar stored, by symbol.",
    ("symbol",),
)
BARS_HELD: Final = Metric(
    "bellwether_bars_held", "gauge", "Bars behind the served features, by symbol.", ("symbol",)
)
MODEL_INFO: Final = Metric(
    "bellwether_model_info",
    "gauge",
    "1 for every model version that is loaded and ready.",
    ("model_version", "kind", "alias", "bundle_digest"),
)
MODEL_CALIBRATION: Final = Metric(
    "bellwether_model_calibration",
    "gauge",
    "Number of the calibration in force, by model version; 0 is the one its bundle brings.",
    ("model_version",),
)
CALIBRATION_TIMESTAMP: Final = Metric(
    "bellwether_calibration_timestamp_seconds",
    "gauge",
    "Close of the last bar that the intervals in force have learned from, by model version.",
    ("model_version",),
)
STALE_ANSWERS: Final = Metric(
    "bellwether_stale_answers_total",
    "counter",
    "Answers given from, or refused because of, old features.",
    ("outcome",),
)
REFUSED_SYMBOLS: Final = Metric(
    "bellwether_refused_symbols_total",
    "counter",
    "Symbols that were left out of an answer to several, by the status each would get alone.",
    ("status",),
)
RELOADS: Final = Metric(
    "bellwether_reloads_total",
    "counter",
    "Attempts to load a model version or features, by what and outcome.",
    ("what", "outcome"),
)
LOG_ROWS: Final = Metric(
    "bellwether_prediction_log_rows_total",
    "counter",
    "Rows of the prediction log: written, dropped, rejected, or own_bars, which are not kept.",
    ("outcome",),
)

# batch jobs, through the Pushgateway: one group per job
DRIFT_SHARE: Final = Metric(
    "bellwether_drift_share", "gauge", "Share of watched columns that drifted.", ("scope",)
)
DRIFT_DETECTED: Final = Metric(
    "bellwether_drift_detected", "gauge", "1 when the scope as a whole drifted.", ("scope",)
)
DRIFT_SCORE: Final = Metric(
    "bellwether_drift_score", "gauge", "Drift statistic of one column.", ("scope", "column")
)
DRIFT_THRESHOLD: Final = Metric(
    "bellwether_drift_threshold",
    "gauge",
    "Calibrated limit of one column's drift statistic.",
    ("scope", "column"),
)
RETRAINING_DUE: Final = Metric(
    "bellwether_retraining_due",
    "gauge",
    "1 when drift has persisted and the budget allows a training.",
)
REALISED_ERROR: Final = Metric(
    "bellwether_realised_pinball_loss",
    "gauge",
    "Mean scaled pinball loss of matured forecasts, in units of the volatility expected over the horizon.",
    ("model_version", "horizon"),
)
REALISED_SKILL: Final = Metric(
    "bellwether_realised_skill",
    "gauge",
    "1 - scaled pinball loss / that of the random walk, on matured forecasts.",
    ("model_version", "horizon"),
)
REALISED_COVERAGE: Final = Metric(
    "bellwether_realised_coverage",
    "gauge",
    "Share of matured forecasts whose 90 % interval covered the outcome.",
    ("model_version", "horizon"),
)
REALISED_VARIANCE_RATIO: Final = Metric(
    "bellwether_realised_variance_ratio",
    "gauge",
    "Realised / forecast variance of matured forecasts: 1.2 is prices that moved 20 % further than said.",
    ("model_version", "horizon"),
)
REALISED_VARIANCE_RATIO_LIMIT: Final = Metric(
    "bellwether_realised_variance_ratio_limit",
    "gauge",
    "What the realised variance ratio stays within by chance; side is low or high.",
    ("model_version", "horizon", "side"),
)
MATURED: Final = Metric(
    "bellwether_matured_forecasts",
    "gauge",
    "Forecasts whose horizon has elapsed.",
    ("model_version", "horizon"),
)
LEFT_OUT: Final = Metric(
    "bellwether_left_out_forecasts",
    "gauge",
    "Forecasts that no realised figure counts: late (made after their outcome), learned by the version, or "
    "ended (the symbol's last bar came before).",
    ("model_version", "horizon", "reason"),
)
JOB_SUCCESS_TIMESTAMP: Final = Metric(
    "bellwether_job_last_success_timestamp_seconds",
    "gauge",
    "Unix time at which a batch job last succeeded.",
    ("job_name",),
)
QUARANTINED: Final = Metric(
    "bellwether_quarantined_bars", "gauge", "Bars in quarantine, by fault.", ("fault",)
)
FETCH_FALLBACK: Final = Metric(
    "bellwether_prices_fallback",
    "gauge",
    "1 when the newest fetch failed and this stood in: second_provider or last_good.",
    ("dataset", "kind"),
)
PROVIDER_DISAGREEMENT: Final = Metric(
    "bellwether_provider_disagreement_share",
    "gauge",
    "Share of common bars whose close differs between the source and a second provider.",
    ("dataset", "provider"),
)
PROVIDER_ACTIONS: Final = Metric(
    "bellwether_provider_differing_actions",
    "gauge",
    "Dividends and splits that differ between the source and a second provider.",
    ("dataset", "provider"),
)
SYMBOLS_DIFFERING: Final = Metric(
    "bellwether_symbols_differing",
    "gauge",
    "Symbols that the newest refresh was asked for and the champion does not know, or the reverse.",
    ("dataset",),
)
ROUTE_WEIGHT: Final = Metric(
    "bellwether_route_weight",
    "gauge",
    "Per cent of the requests that the route gives a model version.",
    ("model_version",),
)
QUALITY_EVIDENCE: Final = Metric(
    "bellwether_quality_evidence",
    "gauge",
    "The most evidence there has been since its promotion that a version's forecasts have degraded.",
    ("model_version",),
)
QUALITY_LIMIT: Final = Metric(
    "bellwether_quality_evidence_limit",
    "gauge",
    "Evidence from which on a version counts as degraded: 1 / error rate.",
)
QUALITY_DEGRADED: Final = Metric(
    "bellwether_quality_degraded",
    "gauge",
    "1 for a version whose realised forecasts have degraded, until another one is promoted.",
    ("model_version",),
)
FEATURE_SPECIFICATIONS: Final = Metric(
    "bellwether_feature_specifications",
    "gauge",
    "Feature specifications of versions in use that the newest refresh of a data set found.",
    ("dataset",),
)
ROUTE_RULE: Final = Metric(
    "bellwether_route_rule",
    "gauge",
    "Place of the route's rule for requests that name a model version; rule 0 splits the others.",
    ("model_version",),
)

ALL: Final = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
