"""The report's tables about candidates, signals and accounts, as HTML, and how figures are written."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Final

import numpy as np

from forecasting.evaluation.evaluate import Evaluation
from forecasting.evaluation.multiple_testing import JUDGED_DELAY
from forecasting.models.candidates import NULLS
from forecasting.models.quantiles import SIGNALS
from forecasting.report import plots

if TYPE_CHECKING:
    from forecasting.evaluation.scores import Score

MOST_SYMBOLS: Final = 40
"""Symbols listed one by one; beyond, the best and the worst are."""


def html_table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]], emphasis: int = -1) -> str:
    """A table of plain texts, the row `emphasis` marked."""
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
    incumbent = (evaluation.incumbent,) if evaluation.incumbent else ()
    nulls = (name for name in NULLS if name in evaluation.candidates)
    names = (*evaluation.challengers, *incumbent, *nulls)
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
                p_text(candidate.anytime_p),
                p_text(candidate.deflated_p),
                p_text(candidate.confidence_set_p),
                number_text(score.crps, 4),
                number_text(score.relative_mae, 4),
                interval_text(hits.accuracy, hits.low, hits.high) if hits else "-",
                number_text(rank.value, 3) if rank else "-",
                number_text(candidate.brier, 4),
                share_text(score.coverage_90),
            )
        )
    heads = (
        "candidate", "skill", "p", "p over all", "deflated", "MCS p", "CRPS", "rel. MAE", "direction",
        "IC", "Brier", "90 %",
    )  # fmt: skip
    note = (
        "<p>Losses are in units of the volatility known when the forecast was made, over all "
        "horizons with weights 1/h. p: chance of such a lead over the random walk by luck "
        "(Diebold-Mariano); over all: the same over all trainings of the data set, however often it is "
        "asked; deflated: that after counting the settings that were tried. "
        "MCS p: above the level, the model is among the best. Below 1, the mean absolute error relative to the "
        "random walk's (rel. MAE) is the better one; the random walk names no direction. Direction (95 % interval in brackets), rank "
        f"correlation (IC) and Brier score of a rise are at {horizon} bars.</p>"
    )
    return html_table(heads, rows, names.index(judged)) + note


def paths_table(evaluation: Evaluation, paths: Mapping[str, Sequence[float]]) -> str:
    """How far each candidate's skill depends on the order in which history came."""
    rows = [
        (
            in_words(name),
            skill_text(evaluation.candidates[name].overall.skill),
            str(len(skills)),
            *(skill_text(float(np.quantile(skills, share))) for share in (0, 0.25, 0.5, 0.75, 1)),
            f"{sum(skill > 0 for skill in skills)} of {len(skills)}",
        )
        for name, skills in paths.items()
    ]
    heads = (
        "candidate", "walk-forward", "paths", "lowest", "1st quartile", "median", "3rd quartile",
        "highest", "above 0",
    )  # fmt: skip
    note = (
        "<p>Every pair of stretches of the history was held out in turn, and the forecasts "
        "recombined to whole paths (Lopez de Prado 2018, ch. 12). The models behind them learned "
        "from later bars too: this says how much skill hangs on the one order of events, not what "
        "would have been earned, and no gate looks at it. Paths share models and outcomes, so "
        "their number is no number of independent trials.</p>"
    )
    return html_table(heads, rows) + note


def skill_split_table(evaluation: Evaluation, judged: str) -> str:
    """Skill of the width and of the direction: of every candidate, and the judged one's by horizon."""
    incumbent = (evaluation.incumbent,) if evaluation.incumbent else ()
    nulls = tuple(name for name in NULLS if name in evaluation.candidates)
    splits = {
        name: evaluation.candidates[name].split
        for name in (*evaluation.challengers, *incumbent, *nulls)
    }
    parts = {in_words(name): split.overall for name, split in splits.items()}
    parts |= {
        f"{in_words(judged)}, {horizon} bar{'s'[: horizon > 1]}": one
        for horizon, one in splits[judged].by_horizon.items()
    }
    rows = [
        (
            label,
            skill_text(one.width),
            p_text(one.width_p),
            skill_text(one.direction),
            p_text(one.direction_p),
            p_text(one.drift_p),
        )
        for label, one in parts.items()
    ]
    heads = ("candidate", "width", "p", "direction", "p against none", "p against a drift")
    note = (
        "<p>Width: skill of the same forecasts with every location at zero. Direction: what the "
        "locations save beyond that; both add up to the skill. Against a drift: whether the "
        "locations beat the constant drift of the random walk with drift in their place. All p are "
        "one-sided Diebold-Mariano; the gate counts besides that one candidate was picked.</p>"
    )
    return html_table(heads, rows, list(splits).index(judged)) + note


def backtest_table(evaluation: Evaluation, judged: str) -> str:
    """The accounts per delay and buy and hold: picture, table, note."""
    accounts = [*evaluation.candidates[judged].backtests.values(), evaluation.buy_and_hold]
    rows = []
    for account in accounts:
        names = {0: "at once (not tradable)", 1: "one bar later", 2: "two bars later"}
        when = names.get(account.delay, f"{account.delay} bars later")
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
                share_text(account.deflated_sharpe),
                f"{account.max_drawdown:.1%}",
                f"{account.turnover:.1f}",
                f"{account.exposure:.0%}",
                f"{account.costs:.1%}",
            )
        )
    heads = (
        "", "return", "per year", "Sharpe", "deflated", "drawdown", "turnover / year", "invested",
        "costs",
    )  # fmt: skip
    trials = "one trial" if evaluation.trials == 1 else f"the best of {evaluation.trials} trials"
    note = (
        f"<p>{_delay_words(evaluation, judged)} Long or flat, equal amounts per symbol at the start and nothing moved between them, fees of "
        f"{evaluation.cost:.2%} per round trip and slippage of {evaluation.slippage:.2%} per "
        f"trade. A buy is kept until a sell or for {evaluation.signal_horizon} bars. ±: 95 % "
        f"interval. Deflated: probability that the true Sharpe ratio is above 0, given that this "
        f"was {trials} (Bailey and Lopez de Prado). The line that counts trades one bar after the "
        "signal; if the result lives only at once, it is the closing price's noise, not "
        "foresight.</p>"
    )
    picture = plots.picture(plots.equity(evaluation, judged), "Account after costs")
    return picture + html_table(heads, rows, 1) + note


def account_sentence(evaluation: Evaluation, judged: str | None) -> str:
    """The judged candidate's Sharpe ratio after costs, deflated; "" if its signal never traded."""
    if judged is None:
        return ""
    account = evaluation.candidates[judged].backtests[JUDGED_DELAY]
    if not np.isfinite(account.sharpe):
        return "Its signal never traded."
    return (
        f"Its signal, after costs and a bar's delay: Sharpe {account.sharpe:.2f} ± "
        f"{1.96 * account.sharpe_error:.2f}, above 0 with probability "
        f"{share_text(account.deflated_sharpe)} after counting the trials."
    )


def _delay_words(evaluation: Evaluation, judged: str) -> str:
    """What waiting for one bar does to the account, in a sentence."""
    accounts = evaluation.candidates[judged].backtests
    at_once, later = accounts[0], accounts[1]
    if not (np.isfinite(at_once.sharpe) and np.isfinite(later.sharpe)):
        return "The signal never trades."
    return (
        f"A bar's delay moves the Sharpe ratio from {at_once.sharpe:.2f} to {later.sharpe:.2f} "
        f"and the return per year from {at_once.annual_return:+.1%} to "
        f"{later.annual_return:+.1%}; buying and holding made "
        f"{evaluation.buy_and_hold.annual_return:+.1%} at {evaluation.buy_and_hold.sharpe:.2f}."
    )


def confusion_table(evaluation: Evaluation, judged: str) -> str:
    """Signals said against outcomes, shaded by count."""
    candidate = evaluation.candidates[judged]
    total = max(int(candidate.confusion.sum()), 1)
    top = max(int(candidate.confusion.max()), 1)
    head = "<th></th>" + "".join(f"<th>came {signal}</th>" for signal in SIGNALS)
    rows = ""
    for signal, counts in zip(SIGNALS, candidate.confusion, strict=True):
        cells = "".join(
            f'<td style="--w:{int(count) / top:.3f}">{int(count):,}'
            f"<small>{int(count) / total:.1%}</small></td>"
            for count in counts
        )
        rows += f"<tr><th>said {signal}</th>{cells}</tr>"
    return (
        f'<div class="wide"><table class="confusion"><tr>{head}</tr>{rows}</table></div>'
        f"<p>Right {share_text(candidate.signal_accuracy)} of the time; always saying the commonest "
        f"outcome would be right {share_text(candidate.signal_base_rate)}. Outcomes are net of the "
        f"{evaluation.cost:.2%} round trip after {evaluation.signal_horizon} bars, and overlap. "
        f"A side needs a probability of {evaluation.threshold:.0%}.</p>"
    )


def symbols_table(evaluation: Evaluation, judged: str) -> str:
    """The judged candidate symbol by symbol, best first."""
    candidate = evaluation.candidates[judged]
    scores = candidate.by_symbol
    names = sorted(scores, key=lambda name: -scores[name].skill)
    low = sum(score.p_value < evaluation.alpha for score in scores.values())
    chance = evaluation.alpha * len(scores)
    note = (
        f"<p>{low} of {len(scores)} symbols have a p below {evaluation.alpha:g}; about "
        f"{chance:.1f} would by chance. No symbol is picked on this table. Direction and IC are "
        f"at {evaluation.signal_horizon} bars.</p>"
    )
    if len(names) > MOST_SYMBOLS:
        half = MOST_SYMBOLS // 2
        names = names[:half] + names[-half:]
        note += f"<p>The best and the worst {half} are listed.</p>"
    rows = [
        (
            name,
            f"{scores[name].forecasts:,}",
            skill_text(scores[name].skill),
            p_text(scores[name].p_value),
            number_text(scores[name].crps, 4),
            number_text(scores[name].relative_mae, 4),
            interval_text(hits.accuracy, hits.low, hits.high),
            number_text(candidate.symbol_information_coefficient[name].value, 3),
            share_text(scores[name].coverage_50),
            share_text(scores[name].coverage_90),
        )
        for name in names
        for hits in (candidate.symbol_hit_rate[name],)
    ]
    heads = (
        "symbol", "forecasts", "skill", "p", "CRPS", "rel. MAE", "direction", "IC", "50 %", "90 %",
    )  # fmt: skip
    return html_table(heads, rows) + note


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
