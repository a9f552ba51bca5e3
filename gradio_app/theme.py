"""The page's theme for gradio, its style sheet, its icon, and its scripts."""

import json
from pathlib import Path
from typing import Final

import gradio as gr

STYLE: Final = Path(__file__).with_name("style.css")
WATCH: Final = Path(__file__).with_name("watch.js")
ICON: Final = Path(__file__).with_name("icon.svg")
_SCRIPT: Final = """<script>
function bellwetherTheme() {
  const dark = document.body.classList.toggle("dark");
  try { localStorage.setItem("bellwether-theme", dark ? "dark" : "light"); } catch (e) {}
}
</script>"""
ON_LOAD: Final = """() => {
  document.documentElement.lang = "en";
  try {
    const theme = localStorage.getItem("bellwether-theme");
    if (theme) document.body.classList.toggle("dark", theme === "dark");
  } catch (e) {}
}"""


def head(prefix: str = "") -> str:
    """What goes into the page's head: the style sheet as it is, the theme switch, and the watch.

    Args:
        prefix: path the page is reached under, without a slash at its end.

    Gradio's own way for style sheets (`css`) rewrites selectors, and drops what it does not
    understand in media queries.
    """
    watch = WATCH.read_text().replace(
        '"@prefix@/live"', json.dumps(f"{prefix}/live").replace("</", r"<\/")
    )
    return f"<style>{STYLE.read_text()}</style>{_SCRIPT}<script>{watch}</script>"


def theme() -> gr.themes.Base:
    """Flat surfaces, one accent, fonts that every machine has."""
    accent = gr.themes.Color(
        "#eff6fc", "#e4eff8", "#c5def1", "#97c3e6", "#5a9fd4", "#2f81c4",
        "#0b66a8", "#0a5a94", "#094a7a", "#083d65", "#052640", name="bellwether",
    )  # fmt: skip
    return gr.themes.Base(
        primary_hue=accent,
        secondary_hue=accent,
        neutral_hue=gr.themes.colors.slate,
        text_size=gr.themes.sizes.text_sm,
        spacing_size=gr.themes.sizes.spacing_sm,
        radius_size=gr.themes.sizes.radius_sm,
        font=(gr.themes.Font("system-ui"), gr.themes.Font("sans-serif")),
        font_mono=(gr.themes.Font("ui-monospace"), gr.themes.Font("monospace")),
    ).set(
        body_background_fill="var(--bw-ground)",
        body_background_fill_dark="var(--bw-ground)",
        body_text_color="var(--bw-ink)",
        body_text_color_dark="var(--bw-ink)",
        body_text_color_subdued="var(--bw-soft)",
        body_text_color_subdued_dark="var(--bw-soft)",
        background_fill_primary="var(--bw-sheet)",
        background_fill_primary_dark="var(--bw-sheet)",
        block_background_fill="var(--bw-sheet)",
        block_background_fill_dark="var(--bw-sheet)",
        border_color_primary="var(--bw-rule)",
        border_color_primary_dark="var(--bw-rule)",
        block_border_color="var(--bw-rule)",
        block_border_color_dark="var(--bw-rule)",
        block_label_text_color="var(--bw-soft)",
        block_label_text_color_dark="var(--bw-soft)",
        block_title_text_color="var(--bw-soft)",
        block_title_text_color_dark="var(--bw-soft)",
        block_title_text_weight="500",
        block_shadow="none",
        block_shadow_dark="none",
        input_background_fill="var(--bw-sheet)",
        input_background_fill_dark="var(--bw-sheet)",
        input_border_color="var(--bw-rule)",
        input_border_color_dark="var(--bw-rule)",
        input_border_color_focus="var(--bw-accent)",
        input_border_color_focus_dark="var(--bw-accent)",
        button_primary_background_fill="#0b66a8",
        button_primary_background_fill_dark="#0b66a8",
        button_primary_background_fill_hover="#0a5a94",
        button_primary_background_fill_hover_dark="#0a5a94",
        button_primary_text_color="#ffffff",
        button_primary_text_color_dark="#ffffff",
        slider_color="#2f81c4",
        slider_color_dark="#2f81c4",
    )
