"""Takes the pictures of docs/images from a running page: `make screenshots UPDATE=1`.

Needs Playwright and a Chromium, which only the development environment has.
"""

import argparse
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from playwright.sync_api import Browser

BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
DESKTOP: Final = (1440, 900)
PHONE: Final = (390, 844)
SETTLE_MILLISECONDS: Final = 1_200


def chromium() -> str:
    """Program of the first Chromium found on PATH, "" when there is none."""
    return next((found for name in BROWSERS if (found := shutil.which(name))), "")


@dataclass(frozen=True)
class Picture:
    """One picture: a tab at a size, in light or dark.

    Attributes:
        name: file name without its ending.
        query: what the page is opened with.
        shows: selector of what must be there before the picture is taken.
        size: window, in CSS pixels.
        scheme: light or dark.
        whole: whether all of the page is taken, not just the window.
    """

    name: str
    query: str
    shows: str
    size: tuple[int, int] = DESKTOP
    scheme: str = "light"
    whole: bool = False


_FAN: Final = "#bw-forecast-chart .scatterlayer .trace"
PICTURES: Final = (
    Picture("page", "", _FAN),
    Picture("page-dark", "model=challenger", _FAN, scheme="dark"),
    Picture("page-phone", "", _FAN, size=PHONE),
    Picture("models", "tab=models", "#bw-models table"),
    Picture("monitoring", "tab=monitoring", "#bw-error-chart .scatterlayer .trace", whole=True),
    Picture("feed", "tab=feed", "#bw-feed table"),
)


def take(browser: "Browser", url: str, picture: Picture, folder: Path) -> Path:
    """Take one picture and return its file, replaced at once."""
    width, height = picture.size
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if picture.scheme == "dark" else "light",
        reduced_motion="reduce",
    )
    try:
        window = context.new_page()
        window.goto(f"{url}/?{picture.query}")
        window.locator(picture.shows).first.wait_for(timeout=30_000)
        window.locator("#bw-header", has_text=re.compile("Serving")).wait_for(timeout=30_000)
        window.wait_for_timeout(SETTLE_MILLISECONDS)
        file = folder / f"{picture.name}.png"
        part = file.with_name(f".{picture.name}.part.png")
        window.screenshot(path=part, full_page=picture.whole)
        part.replace(file)
        return file
    finally:
        context.close()


def main() -> int:
    """Take every picture."""
    parser = argparse.ArgumentParser(
        prog="python -m gradio_app.screenshots", description="Take pictures of a running page."
    )
    parser.add_argument("--url", default="http://127.0.0.1:7860", help="address of the page")
    parser.add_argument(
        "--out", type=Path, default=Path(".output/docs/images"), help="folder to write to"
    )
    parser.add_argument("--chromium", default=chromium(), help="the browser's program")
    options = parser.parse_args()
    from playwright.sync_api import Error, sync_playwright

    options.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=options.chromium, args=[*FLAGS])
            for picture in PICTURES:
                sys.stdout.write(
                    f"{take(browser, options.url.rstrip('/'), picture, options.out)}\n"
                )
            browser.close()
        except Error as error:
            sys.stderr.write(
                f"no picture could be taken of {options.url}: {error.message.splitlines()[0]}\n"
                "Start the page first (make demo), or name it: --url http://127.0.0.1:7860\n"
            )
            return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
