"""The page's theme, style sheet and icon are there, and colours come from the style sheet."""

import re

from gradio_app import theme


def test_the_head_carries_the_style_sheet_and_the_theme_switch():
    head = theme.head()
    assert head.startswith("<style>")
    assert "--bw-accent" in head
    assert "function bellwetherTheme()" in head


def test_every_colour_the_theme_names_is_defined_by_the_style_sheet():
    made = theme.theme()
    defined = set(re.findall(r"(--bw-[a-z]+):", theme.STYLE.read_text()))
    used = {
        name
        for value in vars(made).values()
        if isinstance(value, str)
        for name in re.findall(r"var\((--bw-[a-z]+)\)", value)
    }
    assert {"--bw-ground", "--bw-ink", "--bw-sheet"} <= used <= defined


def test_the_icon_is_an_svg():
    assert "<svg" in theme.ICON.read_text()


def test_the_page_watches_its_own_server_under_the_prefix_it_is_reached_by():
    assert 'fetch("/live"' in theme.head()
    assert 'fetch("/demo/live"' in theme.head("/demo")
    assert theme.head("</script>").count("</script>") == theme.head().count("</script>")
