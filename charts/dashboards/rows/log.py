"""The row of the prediction log: its newest rows, read from PostgreSQL."""

from typing import Final

from charts.dashboards.panels import COLUMNS, POSTGRESQL, Json, field, panel

_LAST_PREDICTIONS: Final = """\
SELECT
  to_timestamp(made_at / 1000.0) AS "made",
  symbol AS "symbol",
  model_version AS "version",
  model_kind AS "model",
  horizon AS "horizon",
  to_timestamp(as_of / 1000.0) AS "as of",
  last_close AS "last close",
  (quantiles::json -> -1 ->> 0)::double precision AS "p05",
  (quantiles::json -> -1 ->> 2)::double precision AS "p50",
  (quantiles::json -> -1 ->> 4)::double precision AS "p95",
  (probability_of_rise::json ->> -1)::double precision AS "P(rise)",
  signal AS "signal",
  stale AS "stale",
  source AS "source",
  replay AS "replay",
  protocol AS "protocol",
  processing_seconds AS "processing time",
  request_id AS "request"
FROM predictions
WHERE symbol IN (${symbol:sqlstring}) AND NOT own_bars AND shadow IS NOT TRUE
ORDER BY made_at DESC, id
LIMIT 100"""


_TARGET: Final = {
    "refId": "A",
    "datasource": POSTGRESQL,
    "format": "table",
    "editorMode": "code",
    "rawQuery": True,
    "rawSql": _LAST_PREDICTIONS,
}
_PRICE: Final = {"unit": "short", "decimals": 2}

_TABLE: Final = panel(
    "table",
    "Last 100 forecasts",
    "The prediction log's newest rows: the request, its inputs, the forecast and the time it"
    " took. p05, p50 and p95 are prices at the last bar of the horizon.",
    (),
    width=COLUMNS,
    height=14,
    defaults={"custom": {"align": "auto", "filterable": True, "inspect": False}},
    overrides=[
        field("made", unit="dateTimeAsIso", custom__width=170),
        field("as of", unit="dateTimeAsIso", custom__width=170),
        field("processing time", unit="s", custom__cellOptions={"type": "gauge", "mode": "basic"}),
        field("P(rise)", unit="percentunit", decimals=1),
        *(field(name, **_PRICE) for name in ("last close", "p05", "p50", "p95")),
        *(field(name, custom__width=80) for name in ("stale", "replay")),
    ],
    options={
        "showHeader": True,
        "cellHeight": "sm",
        "footer": {"show": False},
        "sortBy": [{"displayName": "made", "desc": True}],
    },
)
PANELS: Final[list[Json]] = [_TABLE | {"datasource": POSTGRESQL, "targets": [_TARGET]}]
