"""Plain records for the page's views, and a check of the markup they become."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import numpy as np
import pandas as pd

from forecasting.adapters.inference import SymbolForecast
from forecasting.adapters.prediction_log.log import LoggedForecast
from forecasting.drift.summary import ColumnDrift, DriftSummary, ScopeDrift
from forecasting.live.scores import RealisedPoint, RealisedScore
from gradio_app.model_card import ModelCard

AS_OF = datetime(2023, 9, 21, 20, tzinfo=UTC)
EVIL = '<script>alert("x")</script>'


def forecast(bars=3, **changes):
    steps = np.sqrt(np.arange(1, bars + 1))[:, None]
    spread = np.array([-1.7, -0.6, 0.0, 0.6, 1.7])
    answer = SymbolForecast(
        symbol="AAPL",
        as_of=AS_OF,
        last_close=173.93,
        target_times=tuple(AS_OF + timedelta(days=d + 1) for d in range(bars)),
        quantiles=173.93 * np.exp(0.001 + 0.015 * steps * spread),
        baseline=173.93 * np.exp(0.015 * steps * spread),
        probability_of_rise=np.linspace(0.52, 0.55, bars),
        signal="buy",
        stale=False,
        levels=(0.05, 0.25, 0.5, 0.75, 0.95),
        model_version="2",
        model_kind="ridge",
        interval="1d",
        source="sample",
        snapshot="9f3c2a71d8e04b55",
        replay=True,
        synthetic=False,
    )
    return replace(answer, **changes)


def history(bars=150):
    stamps = pd.bdate_range(end=AS_OF.date(), periods=bars, tz="UTC") + pd.Timedelta(hours=20)
    return pd.DataFrame({"timestamp": stamps, "close": np.linspace(150, 173.93, bars)})


def card(role="challenger", **changes):
    made = ModelCard(
        role, "2", "ridge", -0.0042, 0.713, 0.897, "refuse", "it is no better", "source sample",
        "7b" * 32, "2026-11-21 12:00 UTC", "http://mlflow/#/r", "/reports/walk-forward/2",
    )  # fmt: skip
    return replace(made, **changes)


def logged(**changes):
    made = LoggedForecast(
        "id", "", "AAPL", AS_OF, AS_OF + timedelta(days=1), "2", "ridge", 2, 173.9,
        [[170.0, 172.0, 174.0, 176.0, 178.0], [169.0, 172.0, 174.5, 177.0, 180.0]],
        [AS_OF, AS_OF], [0.52, 0.53], "sell", False, "sample", True, 0.00042, "rest", False,
    )  # fmt: skip
    return replace(made, **changes)


def drift_run(share=0.5, realised=(), **changes):
    columns = tuple(
        ColumnDrift(f"rsi_{n}", "wasserstein", 0.1, 0.2, n < 4 * share) for n in range(4)
    )
    scope = ScopeDrift("features", columns, (), 500, 60, share >= 0.5)
    made = DriftSummary(
        "2026-11-21T03:00:00+00:00", AS_OF.isoformat(), "1", "sample-1d", "9f", "sample",
        True, False, (scope,), tuple(realised), 12, 0, (),
    )  # fmt: skip
    return replace(made, **changes)


SCORE = RealisedScore("1", 5, 330, 55, 0.0123, 0.0124, 0.008, 0.912, 0.51, 0.021)


def points(version="1", horizon=5, null=0.02):
    day = 86_400 * 10**9
    return [RealisedPoint(version, horizon, n * day, n + 1, 0.01, null, 0.9) for n in range(3)]


class _Checker(HTMLParser):
    """Remembers open tags, and what was closed in the wrong order."""

    def __init__(self):
        super().__init__()
        self.open, self.wrong, self.tags = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def check_html(text):
    checker = _Checker()
    checker.feed(text)
    checker.close()
    assert not checker.wrong
    assert not checker.open
    return checker.tags


def text_of(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))
