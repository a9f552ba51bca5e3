"""The models tab: champion and challenger with their scores, and the promotions."""

from collections.abc import Sequence
from html import escape
from typing import Final

from forecasting.adapters.registry.ledger import PENDING, Promotion
from forecasting.models.candidates import NULL_MODEL
from forecasting.schema import COVERAGE_BAND
from gradio_app import formatting
from gradio_app.model_card import ModelCard
from gradio_app.notices import Notice
from gradio_app.views.coverage import conditional_coverage
from gradio_app.views.elements import link, notice, table

VERDICTS: Final = {
    "promote": ("ok", "Promote"),
    "refuse": ("warn", "Refuse"),
    "default": ("info", "Default"),
}
"""Class and word of each verdict."""


def models_table(cards: Sequence[ModelCard]) -> str:
    """Champion and challenger side by side, with their scores and verdicts."""
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
        f"<b>v{escape(card.version)}</b> {escape(formatting.kind(card.kind))}</th>"
        for card in cards
    )
    rows = [
        ("Verdict", [_verdict(card) for card in cards]),
        (
            "Because",
            [escape(formatting.sentence(card.reason)) or formatting.NOTHING for card in cards],
        ),
        ("Skill vs random walk", [_skill(card) for card in cards]),
        *_skill_split(cards),
        ("Diebold-Mariano p", [formatting.p_value(card.p_value) for card in cards]),
        ("90 % interval covers", [_coverage(card) for card in cards]),
        ("Trained on", [escape(card.trained_on) or formatting.NOTHING for card in cards]),
        ("Registered", [escape(card.created) or formatting.NOTHING for card in cards]),
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
        f"that nothing will change.</p></section>{conditional_coverage(cards)}"
    )


def _verdict(card: ModelCard) -> str:
    tone, word = VERDICTS.get(card.verdict, ("info", card.verdict or "none recorded"))
    return f'<span class="bw-chip bw-{tone}"><i aria-hidden="true"></i>{escape(word)}</span>'


def _skill(card: ModelCard) -> str:
    if card.kind == NULL_MODEL:
        return f"{formatting.percent(0.0, 2)} <small>it is the random walk</small>"
    return formatting.percent(card.skill, 2, signed=True)


def _skill_split(cards: Sequence[ModelCard]) -> list[tuple[str, list[str]]]:
    """The rows of what the skill comes from, where it was recorded of any of the versions."""
    parts = {"its width": "skill_width", "its direction": "skill_direction"}
    return [
        (
            f"of it from {source}",
            [formatting.percent(card.scores.get(name), 2, signed=True) for card in cards],
        )
        for source, name in parts.items()
        if any(name in card.scores for card in cards)
    ]


def _coverage(card: ModelCard) -> str:
    if card.coverage is None:
        return formatting.NOTHING
    in_band = COVERAGE_BAND[0] <= card.coverage <= COVERAGE_BAND[1]
    return f"{formatting.percent(card.coverage)} <small>{'in band' if in_band else 'out of band'}</small>"


def _digest(card: ModelCard) -> str:
    if not card.digest:
        return formatting.NOTHING
    return f'<code title="sha256 {escape(card.digest)}">{escape(card.digest[:16])}</code>'


def _links(card: ModelCard) -> str:
    links = []
    if card.report_url:
        links.append(link(card.report_url, "Walk-forward report"))
    if card.run_url:
        links.append(link(card.run_url, "Run in MLflow"))
    return '<span class="bw-links">' + "".join(links) + "</span>" if links else formatting.NOTHING


def promotions_table(history: Sequence[Promotion]) -> str:
    """The audit trail: who made what champion, when and why."""
    if not history:
        return notice(Notice("Nothing has been promoted yet", "The audit trail starts here."))
    rows = []
    for promotion in history:
        before = f"v{promotion.from_version}" if promotion.from_version else "none"
        after = f"v{promotion.to_version}" if promotion.to_version else "none"
        pending = ' <b class="bw-tag">PENDING</b>' if promotion.state == PENDING else ""
        rows.append(
            f"<tr><th scope='row'>{promotion.number}</th>"
            f'<td class="bw-left bw-nowrap">{formatting.instant(promotion.at)}</td>'
            f'<td class="bw-left bw-nowrap">{escape(before)} \N{RIGHTWARDS ARROW} '
            f'<b>{escape(after)}</b>{pending}</td><td class="bw-left">{escape(promotion.who)}</td>'
            f'<td class="bw-left bw-text">{escape(formatting.sentence(promotion.why))}</td></tr>'
        )
    heads = ("No.", "When", "Champion", "Who", "Why")
    return _withdrawn(history[0]) + table("Promotions", heads, rows, left=(1, 2, 3, 4))


def _withdrawn(newest: Promotion) -> str:
    """What readers should know while the champion stands in for one that has degraded; "" otherwise."""
    if not newest.for_quality:
        return ""
    return notice(
        Notice(
            f"Version {newest.from_version} was withdrawn, users get version {newest.to_version}",
            formatting.sentence(newest.why),
            "A new training is judged anew",
            "wait",
        )
    )


def version_label(card: ModelCard) -> str:
    """A model version in the selection box."""
    return f"{card.role.capitalize()} \N{MIDDLE DOT} v{card.version} {formatting.kind(card.kind)}"
