"""Writes the evaluation report: one self-contained HTML page, and a short Markdown summary."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from forecasting.evaluation.evaluate import Evaluation
from forecasting.evaluation.gates import (
    Decision,
    GateResult,
    PromotionPolicy,
    conditional_intervals,
)
from forecasting.instants import date_text
from forecasting.models.candidates import NULL_MODEL, NULLS
from forecasting.models.out_of_sample import OutOfSample
from forecasting.report import plots
from forecasting.report.interval_tables import (
    conditional_coverage_table,
    value_at_risk_table,
    variance_table,
)
from forecasting.report.style import METHODS, STYLE
from forecasting.report.tables import (
    account_sentence,
    backtest_table,
    candidates_table,
    confusion_table,
    in_words,
    number_text,
    p_text,
    paths_table,
    share_text,
    skill_split_table,
    skill_text,
    symbols_table,
)


@dataclass(frozen=True)
class ReportMeta:
    """Where the evidence came from.

    Attributes:
        source: name of the price source.
        replay: whether the prices are historical and replayed.
        synthetic: whether the prices are made up.
        snapshot: id of the price snapshot.
        dataset: name of the data set.
        interval: bar interval, e.g. "1d".
        seed: of the training.
        git_revision: of the code, or empty.
    """

    source: str
    replay: bool = False
    synthetic: bool = False
    snapshot: str = ""
    dataset: str = ""
    interval: str = "1d"
    seed: int = 0
    git_revision: str = ""

    @property
    def label(self) -> str:
        """`SYNTHETIC`, `historical replay`, or empty for live prices."""
        if self.synthetic:
            return "SYNTHETIC"
        return "historical replay" if self.replay else ""


def verdict_markdown(verdict: Decision, evaluation: Evaluation) -> str:
    """The verdict in words, the gates as a table, the candidates as another."""
    lines = [f"## {_headline(verdict)}", ""]
    if not verdict.promote:
        lines += ["Refused, because:", "", *(f"- {reason}" for reason in verdict.reasons), ""]
    lines += ["| gate | held | rule | found |", "|---|---|---|---|"]
    lines += [
        f"| {gate.name.replace('_', ' ')} | {'yes' if gate.passed else '**no**'} "
        f"| {_cell(gate.rule)} | {_cell(gate.found)} |"
        for gate in verdict.gates
    ]
    lines += [
        "",
        "| candidate | skill | p | of width | of direction | relative MAE | 90 % coverage |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    incumbent = (evaluation.incumbent,) if evaluation.incumbent else ()
    nulls = (name for name in NULLS if name in evaluation.candidates)
    for name in (*evaluation.challengers, *incumbent, *nulls):
        score, parts = (
            evaluation.candidates[name].overall,
            evaluation.candidates[name].split.overall,
        )
        lines.append(
            f"| {name.replace('_', ' ')} | {skill_text(score.skill)} | {p_text(score.p_value)} "
            f"| {skill_text(parts.width)} | {skill_text(parts.direction)} | {number_text(score.relative_mae, 4)} | {share_text(score.coverage_90)} |"
        )
    closing = (
        f"Skill: share of the random walk's pinball loss saved, over {evaluation.periods} "
        f"out-of-sample periods and {len(evaluation.symbols)} symbols; of width: the same with "
        "every location at zero; of direction: what locations save beyond that; p: one-sided "
        f"Diebold-Mariano. Hansen's SPA p {p_text(evaluation.spa_p_value)}; "
        f"{verdict.trials} trials. {account_sentence(evaluation, verdict.candidate)}"
    ).rstrip()
    lines += ["", closing, ""]
    return "\n".join(lines)


def html_report(
    evaluation: Evaluation,
    verdict: Decision,
    out_of_sample: Mapping[str, OutOfSample],
    meta: ReportMeta,
    policy: PromotionPolicy | None = None,
    paths: Mapping[str, Sequence[float]] | None = None,
) -> str:
    """One page that needs nothing else: styles and pictures are inside.

    Args:
        evaluation: what was found.
        verdict: what was decided.
        out_of_sample: the forecasts behind it, for the picture of forecasts and outcomes.
        meta: where the evidence came from.
        policy: the policy of the verdict, for the coverage band in the plot.
        paths: skill on every combinatorial path, for the candidates that were tried on them.
    """
    policy = policy or PromotionPolicy()
    judged = verdict.candidate or NULL_MODEL
    name = in_words(judged)
    parts = [
        _head(verdict, meta),
        _verdict(verdict),
        _facts(evaluation, verdict, meta),
        _section("Candidates beside the random walk", candidates_table(evaluation, judged)),
        _section("Skill of width and of direction", skill_split_table(evaluation, judged)),
        _section(
            "Skill by horizon",
            "<p>Share of the random walk's pinball loss that a candidate saves. Filled markers: "
            f"better at the {evaluation.alpha:.0%} level, one horizon at a time; open: could be "
            "luck.</p>"
            + plots.picture(
                plots.skill_by_horizon(evaluation), "Skill per horizon for every candidate"
            ),
        ),
        _section(
            "Coverage by horizon",
            "<p>Solid: outcomes inside the 90 % interval; dashed: the 50 % interval. The grey "
            f"band is what the gate accepts ({policy.coverage[0]:.0%} to "
            f"{policy.coverage[1]:.0%}, over all horizons).</p>"
            + plots.picture(
                plots.coverage_by_horizon(evaluation, policy.coverage), "Coverage per horizon"
            ),
        ),
        _calm_and_storm(evaluation, judged, policy),
        _section(
            f"Calibration of {name}",
            "<p>Left: how often outcomes fell below each forecast quantile; on the dotted line "
            "they do so as often as promised. Right: outcomes in each bin between quantiles over "
            "the expected number, all horizons; flat at 1 is honest, a hill is too wide, a "
            "valley too narrow.</p>"
            + plots.picture(plots.calibration(evaluation, judged), "Calibration"),
        ),
        _section(
            f"Where outcomes fell in the distribution of {name}",
            "<p>Outcomes in twenty bins that are equally likely by the forecast, over the number "
            "expected. In an honest one 19 of 20 bins are in the grey band; forecasts that overlap, and "
            "symbols that move together, make it wide.</p>"
            + plots.picture(
                plots.pit_histogram(evaluation, judged), "Histogram of outcomes' percents"
            ),
        ),
        _section(f"Variance that {name} forecast", variance_table(evaluation, judged)),
        _section("Skill on combinatorial paths", paths_table(evaluation, paths)) if paths else "",
        _forecasts(evaluation, out_of_sample, judged),
        _section(f"Trading {name}'s signal", backtest_table(evaluation, judged)),
        _section("Signals said and come", confusion_table(evaluation, judged)),
        _section("By symbol", symbols_table(evaluation, judged)),
        _section("Value at risk", value_at_risk_table(evaluation, judged)),
        _section("Methods and caveats", METHODS),
    ]
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(_headline(verdict))}</title><style>{STYLE}</style></head>"
        f"<body><main>\n{body}\n</main></body></html>\n"
    )


def _head(verdict: Decision, meta: ReportMeta) -> str:
    label = f'<span class="label">{escape(meta.label)}</span>' if meta.label else ""
    warning = ""
    if meta.synthetic:
        warning = "The prices are made up: nothing here says anything about a real market."
    elif meta.replay:
        warning = "The prices are historical: this is how the models would have done then."
    note = f'<p class="note">{warning}</p>' if warning else ""
    return (
        f'<header><p class="brow">Bellwether · walk-forward evaluation {label}</p>'
        f"<h1>{escape(_headline(verdict))}</h1>{note}</header>"
    )


def _headline(verdict: Decision) -> str:
    champion = in_words(verdict.champion)
    if verdict.candidate is None:
        return f"Refuse: nothing challenges the {champion}"
    if verdict.promote:
        return f"Promote: {in_words(verdict.candidate)} replaces {champion}"
    return f"Refuse: {in_words(verdict.candidate)} does not replace {champion}"


def _verdict(verdict: Decision) -> str:
    rows = "".join(_gate(gate) for gate in verdict.gates)
    return f'<section class="verdict {verdict.word}"><ul>{rows}</ul></section>'


def _gate(gate: GateResult) -> str:
    outcome, mark = ("held", "✓") if gate.passed else ("failed", "✗")
    return (
        f'<li class="{outcome}"><span class="mark" aria-hidden="true">{mark}</span>'
        f"<div><b>{escape(in_words(gate.name).capitalize())}</b> <i>{outcome}</i>"
        f"<p>{escape(gate.rule[:1].upper() + gate.rule[1:])}.</p>"
        f"<p>Found: {escape(gate.found)}.</p></div></li>"
    )


def _facts(evaluation: Evaluation, verdict: Decision, meta: ReportMeta) -> str:
    first, last = (date_text(evaluation.instants[i]) for i in (0, -1))
    symbols = ", ".join(evaluation.symbols[:12])
    if len(evaluation.symbols) > 12:
        symbols += f" and {len(evaluation.symbols) - 12} more"
    trials = str(verdict.trials)
    trials += f" and {evaluation.lifetime.words}"
    if evaluation.effective_trials > 1:
        trials += f" (worth {evaluation.effective_trials:.1f} independent ones beside the picking)"
    facts = {
        "Source": meta.source + (f" ({meta.label})" if meta.label else ""),
        "Forecasts made": f"{first} to {last}",
        "Periods": f"{evaluation.periods:,}",
        "Symbols": symbols,
        "Interval": meta.interval,
        "Snapshot": meta.snapshot or "not recorded",
        "Data set": meta.dataset,
        "Seed": str(meta.seed),
        "Code": meta.git_revision,
        "Trials": trials,
        "SPA p-value": p_text(evaluation.spa_p_value),
    }
    cells = "".join(
        f"<div><dt>{key}</dt><dd>{escape(value)}</dd></div>"
        for key, value in facts.items()
        if value
    )
    return f'<dl class="facts">{cells}</dl>'


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>"


def _calm_and_storm(evaluation: Evaluation, judged: str, policy: PromotionPolicy) -> str:
    finding = conditional_intervals(evaluation, judged, policy)
    words = f"{in_words(judged)}: {finding.found}."
    return _section(
        "Coverage in calm and storm",
        f"<p>{escape(words)}</p>{conditional_coverage_table(evaluation, judged)}",
    )


def _forecasts(
    evaluation: Evaluation, out_of_sample: Mapping[str, OutOfSample], judged: str
) -> str:
    forecasts = out_of_sample.get(judged)
    if forecasts is None:
        return ""
    code = int(forecasts.codes[0])
    symbol = forecasts.symbols[code]
    paint = plots.forecasts_beside_outcomes(evaluation, forecasts, code)
    return _section(
        f"What {in_words(judged)} said, and what came: {symbol}",
        f"<p>The latest out-of-sample forecasts of the {evaluation.signal_horizon}-bar return. "
        "One in ten outcomes should lie outside the light band.</p>"
        + plots.picture(paint, f"Forecasts and outcomes of {escape(symbol)}"),
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
