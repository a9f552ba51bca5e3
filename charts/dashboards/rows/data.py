"""The row of the data: prices, batch jobs, loads and the prediction log."""

from typing import Final

from charts.dashboards.panels import PODS, SYMBOLS, Query, bar_gauge, field, table, time_series

PANELS: Final = [
    bar_gauge(
        "Bars per symbol",
        "Number of bars from which the served features are computed, by symbol.",
        Query(f"max by (symbol) (bellwether_bars_held{{{SYMBOLS}}})", "{{symbol}}"),
    ),
    bar_gauge(
        "Freshness of the last price",
        "How long ago the newest bar closed, by symbol. Replayed prices are old by design.",
        Query(
            f"time() - max by (symbol) (bellwether_last_price_timestamp_seconds{{{SYMBOLS}}})",
            "{{symbol}}",
        ),
        unit="s",
    ),
    time_series(
        "Quarantine",
        "Bars that violate the price schema, by fault, at the newest drift run.",
        Query(
            "max by (fault) (bellwether_quarantined_bars)"
            ' or label_replace(vector(0), "fault", "none", "", "")',
            "{{fault}}",
        ),
        stacked=True,
        runbooks=["BellwetherQuarantineGrowing"],
    ),
    table(
        "Batch jobs",
        "Time since each job's last success, and the longest allowed.",
        Query(
            'job_name:bellwether_job_last_success_age_seconds:min{namespace="$namespace"}',
            instant=True,
        ),
        Query(
            'job_name:bellwether_job_allowed_age_seconds:max{namespace="$namespace"}',
            instant=True,
        ),
        columns={"job_name": "job", "Value #A": "last success", "Value #B": "allowed"},
        overrides=[field("last success", unit="s"), field("allowed", unit="s")],
        runbooks=["BellwetherJobStale", "BellwetherJobAbsent"],
    ),
    time_series(
        "Price source fallback and disagreement",
        "1 while a fallback replaces the price source, and the share of closes in which the"
        " second provider differs from it.",
        Query("max by (dataset, kind) (bellwether_prices_fallback)", "{{dataset}}: {{kind}}"),
        Query(
            "max by (dataset, provider) (bellwether_provider_disagreement_share)"
            ' or label_replace(vector(0), "provider", "no second provider", "", "")',
            "differs: {{provider}}",
        ),
        unit="percentunit",
        runbooks=["BellwetherPricesFallback", "BellwetherProvidersDisagree"],
    ),
    time_series(
        "Loads and reloads",
        "Attempts to load models and features in 5 minutes, by outcome.",
        Query(
            f"sum by (what, outcome) (increase(bellwether_reloads_total{{{PODS}}}[5m]))",
            "{{what}} {{outcome}}",
        ),
        runbooks=["BellwetherBundleRejected", "BellwetherReloadFailing"],
    ),
    time_series(
        "Symbols that differ",
        "Symbols that the newest refresh was asked for and the champion does not know, or the"
        " reverse, and feature specifications of versions in use, by data set.",
        Query("max by (dataset) (bellwether_symbols_differing)", "{{dataset}}"),
        Query("max by (dataset) (bellwether_feature_specifications)", "{{dataset}} specifications"),
        runbooks=["BellwetherSymbolsDiffer", "BellwetherSpecificationsDiffer"],
    ),
    time_series(
        "Prediction log",
        "Rows written to the log, lost because its queue was full (dropped) or because the database"
        " refused them (rejected), and not kept because the caller brought the bars (own_bars), per"
        " second.",
        Query(
            "sum by (outcome)"
            f" (rate(bellwether_prediction_log_rows_total{{{PODS}}}[$__rate_interval]))",
            "{{outcome}}",
        ),
        unit="ops",
        runbooks=["BellwetherPredictionsDropped"],
    ),
]
