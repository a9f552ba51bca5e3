"""Models, monitoring, feed and retraining: records to HTML. Pure; outside text is escaped."""

from collections.abc import Sequence
from html import escape
from typing import Final

from forecasting.adapters.prediction_log.log import LoggedForecast
from forecasting.adapters.registry.ledger import PENDING, Promotion
from forecasting.schema import COVERAGE_BAND
from gradio_app import wording
from gradio_app.facts import ModelCard, Notice
from gradio_app.retraining import Training
from gradio_app.views import notice

VERDICTS: Final = {
    "promote": ("ok", "Promote"),
    "refuse": ("warn", "Refuse"),
    "default": ("info", "Default"),
}
"""Class and word of each verdict."""


def models(cards: Sequence[ModelCard]) -> str:
    """Champion and challenger side by side, with their honest scores and verdicts."""
    if not cards:
        return notice(
            Notice(
                "No model is registered yet",
                "The registry answers, and holds no champion.",
                "Start a training on the Retrain tab",
                "wait",
            )
        )
    heads = "".join(
        f'<th scope="col"><span class="bw-role">{escape(card.role)}</span>'
        f"<b>v{escape(card.version)}</b> {escape(wording.kind(card.kind))}</th>"
        for card in cards
    )
    rows = [
        ("Verdict", [_verdict(card) for card in cards]),
        ("Because", [escape(wording.sentence(card.reason)) or wording.NOTHING for card in cards]),
        ("Skill vs random walk", [_skill(card) for card in cards]),
        ("Diebold-Mariano p", [wording.p_value(card.p_value) for card in cards]),
        ("90 % interval covers", [_coverage(card) for card in cards]),
        ("Trained on", [escape(card.trained_on) or wording.NOTHING for card in cards]),
        ("Registered", [escape(card.created) or wording.NOTHING for card in cards]),
        ("Bundle", [_digest(card) for card in cards]),
        ("Evidence", [_links(card) for card in cards]),
    ]
    body = "".join(
        f'<tr><th scope="row">{name}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'
        for name, cells in rows
    )
    return (
        '<section class="bw-block"><div class="bw-title"><h2>Champion and challenger</h2></div>'
        '<div class="bw-scroll" tabindex="0" role="region" aria-label="Champion and challenger">'
        f'<table class="bw-table bw-compare"><thead><tr><td></td>{heads}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
        '<p class="bw-aside">Scores come from the walk-forward folds, after purging and embargo. '
        "Skill is 1 minus the pinball loss over that of the random walk: 0 % is as good as saying "
        "that nothing will change.</p></section>"
    )


def _verdict(card: ModelCard) -> str:
    tone, word = VERDICTS.get(card.verdict, ("info", card.verdict or "none recorded"))
    return f'<span class="bw-chip bw-{tone}"><i aria-hidden="true"></i>{escape(word)}</span>'


def _skill(card: ModelCard) -> str:
    if card.kind == "random_walk":
        return f"{wording.percent(0.0, 2)} <small>it is the random walk</small>"
    return wording.percent(card.skill, 2, signed=True)


def _coverage(card: ModelCard) -> str:
    if card.coverage is None:
        return wording.NOTHING
    kept = COVERAGE_BAND[0] <= card.coverage <= COVERAGE_BAND[1]
    return f"{wording.percent(card.coverage)} <small>{'in band' if kept else 'out of band'}</small>"


def _digest(card: ModelCard) -> str:
    if not card.digest:
        return wording.NOTHING
    return f'<code title="sha256 {escape(card.digest)}">{escape(card.digest[:16])}</code>'


def _links(card: ModelCard) -> str:
    links = []
    if card.report_url:
        links.append(link(card.report_url, "Walk-forward report"))
    if card.run_url:
        links.append(link(card.run_url, "Run in MLflow"))
    return '<span class="bw-links">' + "".join(links) + "</span>" if links else wording.NOTHING


def link(url: str, text: str) -> str:
    """A link that opens beside the page."""
    return f'<a href="{escape(url)}" target="_blank" rel="noopener">{escape(text)}</a>'


def promotions(history: Sequence[Promotion]) -> str:
    """The audit trail: who made what champion, when and why."""
    if not history:
        return notice(Notice("Nothing has been promoted yet", "The audit trail starts here."))
    rows = []
    for one in history:
        before = f"v{one.from_version}" if one.from_version else "none"
        after = f"v{one.to_version}" if one.to_version else "none"
        pending = ' <b class="bw-tag">PENDING</b>' if one.state == PENDING else ""
        rows.append(
            f"<tr><th scope='row'>{one.number}</th>"
            f'<td class="bw-left bw-nowrap">{wording.instant(one.at)}</td>'
            f'<td class="bw-left bw-nowrap">{escape(before)} \N{RIGHTWARDS ARROW} '
            f'<b>{escape(after)}</b>{pending}</td><td class="bw-left">{escape(one.who)}</td>'
            f'<td class="bw-left bw-text">{escape(wording.sentence(one.why))}</td></tr>'
        )
    return table("Promotions", ("No.", "When", "Champion", "Who", "Why"), rows, left=(1, 2, 3, 4))


def feed(answers: Sequence[LoggedForecast]) -> str:
    """The newest answers, with what was asked and what it cost."""
    if not answers:
        return notice(
            Notice(
                "No prediction has been logged yet",
                "Every answer of the model server appears here within a second or so.",
                "Ask for a forecast on the Forecast tab",
                "wait",
            )
        )
    rows = [_answer(one) for one in answers]
    heads = (
        "Made at", "Symbol", "As of", "Bars", "Version", "Signal", "P(rise)", "Last close",
        "Median", "90 % interval", "Asked", "Took",
    )  # fmt: skip
    return table(
        f"Last {len(rows)} predictions" if len(rows) > 1 else "Last prediction",
        heads,
        rows,
        left=(1, 2, 4, 5, 10),
        tall=True,
    )


def _answer(one: LoggedForecast) -> str:
    low, _, median, _, high = one.quantiles[-1]
    asked = [one.protocol.upper(), one.source]
    asked += ["own bars"] if one.own_bars else []
    asked += ["replay"] if one.replay else []
    asked += ["stale"] if one.stale else []
    signal = one.signal if one.signal in {"buy", "sell"} else "hold"
    return (
        f"<tr><th scope='row' class='bw-nowrap'>{one.made_at:%m-%d %H:%M:%S}</th>"
        f'<td class="bw-left"><b>{escape(one.symbol)}</b></td>'
        f'<td class="bw-left bw-nowrap">{one.as_of:%Y-%m-%d %H:%M}</td><td>{one.horizon}</td>'
        f'<td class="bw-left bw-nowrap">v{escape(one.model_version)} '
        f"{escape(wording.kind(one.model_kind))}</td>"
        f'<td class="bw-left bw-nowrap bw-{signal}">{wording.signal(signal)}</td>'
        f"<td>{wording.chance(one.probability_of_rise[-1])}</td>"
        f"<td>{wording.price(one.last_close)}</td><td>{wording.price(median)}</td>"
        f'<td class="bw-nowrap">{wording.price(low)} to {wording.price(high)}</td>'
        f'<td class="bw-left bw-nowrap">{escape(", ".join(filter(None, asked)))}</td>'
        f'<td class="bw-nowrap">{wording.duration(one.processing_seconds)}</td></tr>'
    )


def table(
    title: str,
    heads: Sequence[str],
    rows: Sequence[str],
    *,
    left: Sequence[int] = (),
    tall: bool = False,
) -> str:
    """A titled table that scrolls inside itself.

    Args:
        title: as text.
        heads: markup of the columns' heads, escaped already.
        rows: markup of the rows, escaped already.
        left: columns whose heads stand to the left.
        tall: whether long tables scroll downwards, too.
    """
    head = "".join(
        f'<th scope="col"{" class=bw-left" if place in left else ""}>{name}</th>'
        for place, name in enumerate(heads)
    )
    return (
        f'<section class="bw-block"><div class="bw-title"><h2>{escape(title)}</h2></div>'
        f'<div class="bw-scroll{" bw-tall" if tall else ""}" tabindex="0" role="region" '
        f'aria-label="{escape(title)}"><table class="bw-table"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div></section>"
    )


def training(shown: Training | None) -> str:
    """How the training started last fares, or fared.

    Args:
        shown: the training, or None before the first.
    """
    if shown is None:
        return notice(
            Notice(
                "No training was started from this page",
                "A training fetches prices, walks every candidate forward, and promotes one only "
                "if it beats the random walk. Mostly none does, and that is a result.",
            )
        )
    what = f"source {shown.source}" + (f", {', '.join(shown.symbols)}" if shown.symbols else "")
    span = wording.duration(shown.seconds)
    title, body, tone = {
        "running": ("Training", f"Running for {span}: {what}.", "wait"),
        "promoted": ("A new champion was promoted", f"After {span}: {what}.", "ok"),
        "refused": ("Nothing was promoted", f"After {span}: {what}. The champion stays.", "info"),
        "done": (
            "The training is done",
            f"After {span}: {what}. The Models tab has its verdict.",
            "ok",
        ),
        "failed": ("The training failed", f"After {span}: {what}. The champion stays.", "wrong"),
    }[shown.state]
    because = _because(shown)
    log = escape("\n".join(shown.lines)) or "..."
    return (
        notice(Notice(title, body, because, tone))
        + _elsewhere(shown.link)
        + '<section class="bw-block"><div class="bw-title"><h2>Its last lines</h2></div>'
        f'<pre class="bw-log" tabindex="0" role="log" aria-label="Training log">{log}</pre>'
        "</section>"
    )


def _elsewhere(link: str) -> str:
    if not link.startswith(("http://", "https://")):
        return ""
    return (
        f'<p class="bw-aside"><a href="{escape(link)}" target="_blank" rel="noopener">'
        "This run in Kubeflow Pipelines</a></p>"
    )


def _because(shown: Training) -> str:
    if shown.outcome is not None:
        promoted = shown.outcome.outcome == "promoted"
        head = "Promoted" if promoted else "Nothing was promoted"
        return f"{head}, because {shown.outcome.reason}"
    if shown.state in {"promoted", "refused"}:
        return "The training did not say why; the Models tab has its verdict"
    return shown.lines[-1] if shown.state == "failed" and shown.lines else ""
