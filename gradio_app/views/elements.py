"""Parts that every tab shows: notices, tables, links. Text from outside is escaped."""

from collections.abc import Sequence
from html import escape
from typing import Final

from gradio_app import formatting
from gradio_app.notices import Notice

ADVICE: Final = (
    "Not investment advice. Bellwether shows what a statistical model says, and how far it has "
    "been right; it knows nothing about you, and most of the time prices know more than it does."
)


def notice(content: Notice) -> str:
    """A notice, in the place of what cannot be shown."""
    body = f"<p>{escape(content.body)}</p>" if content.body else ""
    remedy = f'<p class="bw-remedy">{escape(formatting.sentence(content.remedy))}</p>'
    return (
        f'<section class="bw-notice bw-{escape(content.tone)}" role="status">'
        f"<h3>{escape(content.title)}</h3>{body}{remedy if content.remedy else ''}</section>"
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
        f'<th scope="col"{" class=bw-left" if column in left else ""}>{name}</th>'
        for column, name in enumerate(heads)
    )
    return (
        f'<section class="bw-block"><div class="bw-title"><h2>{escape(title)}</h2></div>'
        f'<div class="bw-scroll{" bw-tall" if tall else ""}" tabindex="0" role="region" '
        f'aria-label="{escape(title)}"><table class="bw-table"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div></section>"
    )


def link(url: str, text: str) -> str:
    """A link that opens beside the page."""
    return f'<a href="{escape(url)}" target="_blank" rel="noopener">{escape(text)}</a>'


def loading(what: str) -> str:
    """A placeholder for what is being asked for, at the size it will have."""
    return f'<div class="bw-loading" role="status">{escape(what)}</div>'


def advice() -> str:
    """The note under every page."""
    return f'<footer class="bw-advice">{escape(ADVICE)}</footer>'
