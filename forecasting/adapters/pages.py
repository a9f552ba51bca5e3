"""Follows a list page by page to its end; a server that leads in a circle is an error, not a wait."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from forecasting.errors import BellwetherError

MOST: Final = 10_000
"""Pages of one list; each holds 100 entries or more."""

_NEXT: Final = "next_page_token"


def pages(
    ask: Callable[[str], Mapping[str, Any]], error: type[BellwetherError], whose: str
) -> Iterator[Mapping[str, Any]]:
    """The pages of a list, only as far as they are taken.

    Args:
        ask: asks for the page that a token names; "" is the first one.
        error: what is raised when there is no end.
        whose: the server, with its address.

    Raises:
        BellwetherError: of the given kind: a token comes again, or there are too many pages.
    """
    token, seen = "", {""}
    while True:
        page = ask(token)
        yield page
        token = str(page.get(_NEXT) or "")
        if not token:
            return
        if token in seen or len(seen) >= MOST:
            again = "names an earlier page again" if token in seen else "is one more"
            raise error(
                "a list must come to an end",
                f"{whose}: what follows page {len(seen)} {again}",
                "Is it the server that it should be? Look into its log",
            )
        seen.add(token)
