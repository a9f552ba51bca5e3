"""The drift report's page on forecasts that have come due: one self-contained HTML page."""

from html import escape
from typing import Final

from forecasting.drift.summary import DriftSummary
from forecasting.live.scores import RealisedScore
from forecasting.live.variance import RealisedVariance, in_words, of_version
from forecasting.report.style import STYLE

_HEADS: Final = (
    "version", "bars ahead", "came due", "dates", "left out", "skill", "90 % covers",
    "variance ratio", "by chance within", "prices moved",
)  # fmt: skip

_METHODS: Final = """
<p>Skill is one minus the scaled pinball loss over the random walk's. Scaled is a loss over the volatility
that was expected over its horizon when the forecast was made, as before a promotion, so a calm symbol weighs
as much as a wild one. Coverage is the share of outcomes
inside the 90 % interval.</p>
<p>A forecast counts once, however often it was asked for. Left out are those made at or after the close
that they forecast (late), those of bars that the version had learned from (learned), and those of symbols
that stopped trading before that close (ended): their loss is not known, and might be large. On replayed prices,
which end in the past, none is late: a forecast is taken to have been made at the bar it starts from.</p>
<p>Realised over forecast variance: a forecast implies a deviation, its 90 % interval over 3.29, as of a
normal distribution. A move is the log return less the forecast's median, in those deviations, and counts
up to three of them, so that one crash does not rule the figure (Huber's estimator of scale). A ratio of
1.2 says that prices moved 20 % further, in variance, than the version said. The newest 250 dates of each
version and horizon are counted, and the newest 60, which hear a large change sooner. The limits are what chance explains, with a long-run variance by dates,
since symbols of one date share the market and overlapping horizons share bars (Lazarus, Lewis, Stock and
Watson, 2018).</p>
"""


def realised_page(summary: DriftSummary) -> str:
    """How every version's forecasts that have come due turned out, by horizon."""
    label = "SYNTHETIC" if summary.synthetic else "historical replay" if summary.replay else ""
    mark = f' <span class="label">{label}</span>' if label else ""
    left_out = {(one.model_version, one.horizon): one.in_words for one in summary.left_out}
    rows = "".join(
        _row(
            score,
            of_version(summary.variances, score.model_version, score.horizon),
            left_out.get((score.model_version, score.horizon), "-"),
        )
        for score in summary.realised
    )
    head = "".join(f"<th>{escape(text)}</th>" for text in _HEADS)
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Forecasts that have come due</title>"
        f"<meta name=viewport content='width=device-width'><style>{STYLE}</style><main>"
        f'<p class="brow">{escape(summary.dataset)}, {escape(summary.source)}, measured '
        f"{escape(summary.measured_at)}{mark}</p><h1>Forecasts that have come due</h1>"
        f"{_champion(summary)}"
        f'<div class="wide"><table><tr>{head}</tr>{rows}</table></div>'
        f"<section><h2>How it was counted</h2>{_METHODS}</section></main></html>"
    )


def _champion(summary: DriftSummary) -> str:
    """What the champion's variance comes to, a sentence a horizon."""
    every = (*summary.variances, *summary.recent_variances)
    own = [v for v in every if v.model_version == summary.model_version]
    own.sort(key=lambda ratio: (ratio.horizon, -ratio.dates))
    sentences = "".join(
        f"<p>{ratio.horizon} bar{'s' if ratio.horizon > 1 else ''} ahead prices moved "
        f"{in_words(ratio.ratio)} by version {escape(ratio.model_version)}, in variance, on the newest "
        f"{ratio.dates:,} dates: "
        f"{_verdict(ratio)}.</p>"
        for ratio in own
    )
    return sentences or "<p>No forecast of the champion has come due.</p>"


def _verdict(ratio: RealisedVariance) -> str:
    if ratio.low is None or ratio.high is None:
        return "too few to say whether that is chance"
    return "more than chance explains" if ratio.off else "chance explains that"


def _row(score: RealisedScore, ratio: RealisedVariance | None, left_out: str) -> str:
    skill = "not known" if score.skill is None else f"{100 * score.skill:+.1f} %"
    limits = "too few dates"
    if ratio is not None and ratio.low is not None and ratio.high is not None:
        limits = f"{ratio.low:.2f} to {ratio.high:.2f}"
    cells = (
        f"v{score.model_version}",
        f"{score.horizon}",
        f"{score.matured:,}",
        f"{score.dates:,}",
        left_out,
        skill,
        f"{100 * score.coverage:.1f} %",
        *((f"{ratio.ratio:.2f}", limits, in_words(ratio.ratio)) if ratio else ("-", "-", "-")),
    )
    emphasis = " class=judged" if ratio is not None and ratio.off else ""
    return f"<tr{emphasis}>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
