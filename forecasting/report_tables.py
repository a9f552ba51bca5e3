"""The report's tables, as HTML."""

from collections.abc import Sequence
from html import escape
from typing import Final

import numpy as np

from forecasting import plots
from forecasting.evaluation import Evaluation
from forecasting.forecast import SIGNALS
from forecasting.scorecard import NULL_MODEL, Score

_MOST_SYMBOLS: Final = 40
"""Symbols listed one by one; beyond, the best and the worst are."""


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]], emphasis: int = -1) -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = "".join(
        f"<tr{' class=judged' if place == emphasis else ''}>"
        + "".join(f"<td>{escape(text)}</td>" for text in row)
        + "</tr>"
        for place, row in enumerate(rows)
    )
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'


def candidates_table(evaluation: Evaluation, judged: str) -> str:
    """Every candidate's overall figures, the judged one marked."""
    names = (*evaluation.challengers, NULL_MODEL)
    horizon = evaluation.signal_horizon
    rows = []
    for name in names:
        candidate = evaluation.candidates[name]
        score: Score = candidate.overall
        hits = candidate.hit_rate.get(horizon)
        rank = candidate.information_coefficient.get(horizon)
        rows.append(
            (
                in_words(name),
                skill_text(score.skill),
                p_text(score.p_value),
                p_text(candidate.confidence_set_p),
                number_text(score.crps, 4),
                number_text(score.mase, 4),
                interval_text(hits.accuracy, hits.low, hits.high) if hits else "-",
                number_text(rank.value, 3) if rank else "-",
                number_text(candidate.brier, 4),
                share_text(score.coverage_50),
                share_text(score.coverage_90),
            )
        )
    heads = (
        "candidate", "skill", "p", "MCS p", "CRPS", "MASE", "direction",
        "IC", "Brier", "50 %", "90 %",
    )  # fmt: skip
    note = (
        "<p>Losses are in units of the volatility known when the forecast was made, over all "
        "horizons with weights 1/h. p: chance of such a lead over the random walk by luck "
        "(Diebold-Mariano). "
        "MCS p: above the level, the model is among the best. Below 1, MASE is better than the "
        "random walk, which names no direction. Direction (95 % interval in brackets), rank "
        f"correlation (IC) and Brier score of a rise are at {horizon} bars.</p>"
    )
    return _table(heads, rows, names.index(judged)) + note


def backtest_table(evaluation: Evaluation, judged: str) -> str:
    """The accounts per delay and buy and hold: picture, table, note."""
    accounts = [*evaluation.candidates[judged].backtests.values(), evaluation.buy_and_hold]
    rows = []
    for account in accounts:
        words = {0: "at once (not tradable)", 1: "one bar later", 2: "two bars later"}
        when = words.get(account.delay, f"{account.delay} bars later")
        label = account.name if account is evaluation.buy_and_hold else f"signal, {when}"
        sharpe = "-"
        if np.isfinite(account.sharpe):
            sharpe = f"{account.sharpe:.2f} ± {1.96 * account.sharpe_error:.2f}"
        rows.append(
            (
                label,
                f"{account.total_return:+.1%}",
                f"{account.annual_return:+.1%}",
                sharpe,
                f"{account.max_drawdown:.1%}",
                f"{account.turnover:.1f}",
                f"{account.exposure:.0%}",
                f"{account.costs:.1%}",
            )
        )
    heads = ("", "return", "per year", "Sharpe", "drawdown", "turnover / year", "invested", "costs")
    note = (
        f"<p>Long or flat, equal shares, {evaluation.cost:.2%} per round trip. A buy is kept "
        f"until a sell or for {evaluation.signal_horizon} bars. ±: 95 % interval. The line that "
        "counts trades one bar after the signal; if the result lives only at once, it is the "
        "closing price's noise, not foresight.</p>"
    )
    picture = plots.picture(plots.equity(evaluation, judged), "Account after costs")
    return picture + _table(heads, rows, 1) + note


def confusion_table(evaluation: Evaluation, judged: str) -> str:
    """Signals said against outcomes, shaded by count."""
    candidate = evaluation.candidates[judged]
    total = max(int(candidate.confusion.sum()), 1)
    top = max(int(candidate.confusion.max()), 1)
    head = "<th></th>" + "".join(f"<th>came {signal}</th>" for signal in SIGNALS)
    rows = ""
    for said, counts in zip(SIGNALS, candidate.confusion, strict=True):
        cells = "".join(
            f'<td style="--w:{int(count) / top:.3f}">{int(count):,}'
            f"<small>{int(count) / total:.1%}</small></td>"
            for count in counts
        )
        rows += f"<tr><th>said {said}</th>{cells}</tr>"
    return (
        f'<div class="wide"><table class="confusion"><tr>{head}</tr>{rows}</table></div>'
        f"<p>Right {share_text(candidate.signal_accuracy)} of the time; always saying the commonest "
        f"outcome would be right {share_text(candidate.signal_base_rate)}. Outcomes are net of the "
        f"{evaluation.cost:.2%} round trip after {evaluation.signal_horizon} bars, and overlap. "
        f"A side needs a probability of {evaluation.threshold:.0%}.</p>"
    )


def symbols_table(evaluation: Evaluation, judged: str) -> str:
    """The judged candidate symbol by symbol, best first."""
    scores = evaluation.candidates[judged].by_symbol
    names = sorted(scores, key=lambda name: -scores[name].skill)
    low = sum(score.p_value < evaluation.alpha for score in scores.values())
    chance = evaluation.alpha * len(scores)
    note = (
        f"<p>{low} of {len(scores)} symbols have a p below {evaluation.alpha:g}; about "
        f"{chance:.1f} would by chance. No symbol is picked on this table.</p>"
    )
    if len(names) > _MOST_SYMBOLS:
        half = _MOST_SYMBOLS // 2
        names = names[:half] + names[-half:]
        note += f"<p>The best and the worst {half} are listed.</p>"
    rows = [
        (
            name,
            f"{scores[name].forecasts:,}",
            skill_text(scores[name].skill),
            p_text(scores[name].p_value),
            number_text(scores[name].mase, 4),
            share_text(scores[name].coverage_50),
            share_text(scores[name].coverage_90),
        )
        for name in names
    ]
    return _table(("symbol", "forecasts", "skill", "p", "MASE", "50 %", "90 %"), rows) + note


def in_words(name: str) -> str:
    """A name without underscores."""
    return name.replace("_", " ")


def number_text(value: float, digits: int) -> str:
    """A number with fixed digits, a dash when unknown."""
    return f"{value:.{digits}f}" if np.isfinite(value) else "-"


def skill_text(value: float) -> str:
    """A skill in percent with its sign, a dash when unknown."""
    if value == 0:
        return "0"
    return f"{value:+.2%}" if np.isfinite(value) else "-"


def share_text(value: float) -> str:
    """A share in percent, a dash when unknown."""
    return f"{value:.1%}" if np.isfinite(value) else "-"


def interval_text(value: float, low: float, high: float) -> str:
    """A share with its interval, a dash when unknown."""
    return f"{value:.1%} [{100 * low:.0f}, {100 * high:.0f}]" if np.isfinite(value) else "-"


def p_text(value: float) -> str:
    """A p-value, a dash when unknown."""
    if not np.isfinite(value):
        return "-"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
