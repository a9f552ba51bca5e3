"""The top of the page: its name, and whether the model server serves which data."""

from html import escape
from typing import Final

from gradio_app import formatting
from gradio_app.status import DataSource, Status

_MARK: Final = (
    '<svg viewBox="0 0 24 24" width="22" height="22" aria-hidden="true" fill="none" '
    'stroke="currentColor" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round">'
    '<path d="M2.5 15.5 7 10l3 3 2.5-3"/><path d="M12.5 10 21.5 4.5"/>'
    '<path d="M12.5 10 21.5 15.5" opacity=".55"/><path d="M12.5 10h9" opacity=".8"/></svg>'
)
_THEME_SWITCH: Final = (
    '<button type="button" class="bw-theme" aria-label="Switch between light and dark" '
    'title="Light / dark" onclick="bellwetherTheme()">'
    '<svg viewBox="0 0 24 24" width="16" height="16" aria-hidden="true">'
    '<circle cx="12" cy="12" r="8.5" fill="none" stroke="currentColor" stroke-width="1.8"/>'
    '<path d="M12 3.5a8.5 8.5 0 0 1 0 17z" fill="currentColor"/></svg></button>'
)


def header(status: Status) -> str:
    """The page's name, and one line about the server and its data."""
    tone, word = ("ok", "Serving") if status.ready else ("wrong", "Not serving")
    parts = [
        f'<span class="bw-chip bw-{tone}"><i aria-hidden="true"></i>{word}</span>',
        f"<span>{escape(status.detail)}</span>",
    ]
    if status.last_bar is not None:
        parts.append(f"<span>last bar {formatting.instant(status.last_bar)}</span>")
    if status.age_seconds is not None:
        parts.append(f"<span>{formatting.age(status.age_seconds)}</span>")
    if status.data_source is not None:
        parts.append(_source(status.data_source))
    return (
        f'<header class="bw-head"><div class="bw-name">{_MARK}<h1>Bellwether</h1></div>'
        f'<div class="bw-status" role="status">{"".join(parts)}</div>{_THEME_SWITCH}</header>'
    )


def header_waiting() -> str:
    """The top before the first answer, as high as it will be."""
    return (
        f'<header class="bw-head"><div class="bw-name">{_MARK}<h1>Bellwether</h1></div>'
        f'<div class="bw-status" role="status"><span>asking the model server</span></div>'
        f"{_THEME_SWITCH}</header>"
    )


def _source(data_source: DataSource) -> str:
    tags = ""
    if data_source.synthetic:
        tags = ' <b class="bw-tag bw-warn">SYNTHETIC</b>'
    elif data_source.replay:
        tags = ' <b class="bw-tag">REPLAY</b>'
    if data_source.fallback:
        tags += f' <b class="bw-tag bw-warn" title="{escape(data_source.fallback)}">FALLBACK</b>'
    return f"<span>source {escape(data_source.source)}{tags}</span>"
