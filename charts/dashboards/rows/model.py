"""The row of the models: what they forecast, how good it was, and drift."""

from typing import Final

from charts.dashboards.panels import PODS, SYMBOLS, Query, dashed, field, table, time_series

_PREDICTIONS: Final = f"bellwether_predictions_total{{{SYMBOLS}}}[$__rate_interval]"

PANELS: Final = [
    time_series(
        "Forecasts per symbol",
        "Forecasts per second by symbol; 'other' is forecasts from callers' own bars.",
        Query(
            f'sum by (symbol) (rate(bellwether_predictions_total{{{PODS}, symbol=~"$symbol|other"}}'
            "[$__rate_interval]))",
            "{{symbol}}",
        ),
        unit="reqps",
        stacked=True,
    ),
    time_series(
        "Forecast direction",
        "Share of forecasts whose median at the signal horizon lies above, on or below the"
        " last close.",
        Query(f"sum by (direction) (rate({_PREDICTIONS}))", "{{direction}}"),
        unit="reqps",
        share=True,
        overrides=[
            field("up", color={"mode": "fixed", "fixedColor": "green"}),
            field("down", color={"mode": "fixed", "fixedColor": "red"}),
            field("flat", color={"mode": "fixed", "fixedColor": "blue"}),
        ],
    ),
    time_series(
        "Signals",
        "Trading signals per second, net of costs.",
        Query(
            f"sum by (signal) (rate(bellwether_signals_total{{{PODS}}}[$__rate_interval]))",
            "{{signal}}",
        ),
        unit="reqps",
        stacked=True,
    ),
    table(
        "Versions and weights",
        "Every version that a pod has loaded, its weight on the route, and the calibration in force;"
        " 0 is the one its bundle brings.",
        Query(
            f"sum by (model_version, kind, alias, bundle_digest) (bellwether_model_info{{{PODS}}})",
            instant=True,
        ),
        Query("max by (model_version) (bellwether_route_weight)", instant=True),
        Query(
            f"max by (model_version) (bellwether_model_calibration{{{PODS}}})",
            instant=True,
        ),
        columns={
            "model_version": "version",
            "kind": "model",
            "alias": "alias",
            "Value #A": "ready pods",
            "Value #B": "weight",
            "Value #C": "calibration",
            "bundle_digest": "bundle",
        },
        overrides=[
            field("weight", unit="percent", custom__cellOptions={"type": "gauge"}, min=0, max=100),
            field("ready pods", decimals=0),
            field("calibration", decimals=0),
        ],
        runbooks=[
            "BellwetherCalibrationOld",
            "BellwetherWeightOnMissingVersion",
            "BellwetherWeightsDoNotSum",
            "BellwetherWeightsUnknown",
        ],
    ),
    time_series(
        "Realised error",
        "Mean scaled pinball loss of forecasts whose horizon has elapsed, in units of the volatility"
        " expected over the horizon, by version and horizon in bars.",
        Query(
            "max by (model_version, horizon) (bellwether_realised_pinball_loss)",
            "v{{model_version}}, {{horizon}} bars",
        ),
    ),
    time_series(
        "Realised skill",
        "1 - loss / loss of the random walk: above 0 is better than the random walk. The dashed"
        " lines are the champion's limits: what chance explains.",
        Query(
            "max by (model_version, horizon) (bellwether_realised_skill)",
            "v{{model_version}}, {{horizon}} bars",
        ),
        Query(
            'max by (column) (bellwether_drift_threshold{scope="error"})',
            "limit of {{column}}",
        ),
        minimum=None,
        overrides=[dashed("limit of .*")],
        runbooks=["BellwetherSkillLow"],
    ),
    time_series(
        "Realised coverage of the 90 % interval",
        "Share of prices inside the interval forecast for them, nominally 90 %;"
        " the dashed lines are the champion's limits: what chance explains.",
        Query(
            "max by (model_version, horizon) (bellwether_realised_coverage)",
            "v{{model_version}}, {{horizon}} bars",
        ),
        Query(
            'max by (column) (bellwether_drift_threshold{scope="coverage"})',
            "limit of {{column}}",
        ),
        unit="percentunit",
        minimum=None,
        overrides=[dashed("limit of .*")],
        runbooks=["BellwetherCoverageOff"],
    ),
    time_series(
        "Realised over forecast variance",
        "How far prices moved against how far the forecasts said: 1.2 is 20 % further, in variance."
        " The dashed lines are what chance explains at the horizons that raise an alert.",
        Query(
            "max by (model_version, horizon) (bellwether_realised_variance_ratio)",
            "v{{model_version}}, {{horizon}} bars",
        ),
        Query(
            'max by (model_version, horizon, side) (bellwether_realised_variance_ratio_limit{horizon=~"1|5"})',
            "{{side}} limit of v{{model_version}}, {{horizon}} bars",
        ),
        minimum=None,
        overrides=[dashed(".* limit of .*")],
        runbooks=["BellwetherVarianceOff"],
    ),
    time_series(
        "Evidence of degradation",
        "Evidence since its promotion that what users get has degraded, against the version before;"
        " from the dashed limit on it steps back.",
        Query("max by (model_version) (bellwether_quality_evidence)", "v{{model_version}}"),
        Query("max(bellwether_quality_evidence_limit)", "limit"),
        Query(
            "max by (model_version) (bellwether_quality_degraded)",
            "v{{model_version}}: 1 is degraded",
        ),
        overrides=[dashed("limit")],
        runbooks=["BellwetherChampionDegraded"],
    ),
    time_series(
        "Matured forecasts",
        "Forecasts whose horizon has elapsed: the sample behind error, skill, coverage and variance.",
        Query(
            "max by (model_version, horizon) (bellwether_matured_forecasts)",
            "v{{model_version}}, {{horizon}} bars",
        ),
    ),
    time_series(
        "Drift",
        "Share of watched columns past their calibrated limit, by scope, at the newest drift run:"
        " one is enough for an alert.",
        Query("max by (scope) (bellwether_drift_share)", "{{scope}}"),
        Query("max by (scope) (bellwether_drift_detected)", "{{scope}}: past a limit"),
        Query("max(bellwether_retraining_due)", "training due"),
        unit="percentunit",
        overrides=[dashed(".*past a limit")],
        runbooks=[
            "BellwetherFeaturesDrifted",
            "BellwetherPredictionsDrifted",
            "BellwetherRetrainingDue",
        ],
    ),
]
