"""Tells the copies that the gateway sends to a shadow from users' requests.

While a version gets copies, the gateway marks what it splits, and so the copies, with that version's
number (`forecasting.adapters.cluster.route_rules`). A server with another number has a user's
request; the one with that number, which has no weight, can only have a copy.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from forecasting.inference_protocol.messages import GATEWAY_ID_HEADER, SHADOW_HEADER

MAX_GATEWAY_ID: Final = 64
"""Longest id of a gateway that is kept; Envoy's are UUIDs."""

_SHADOW: Final = SHADOW_HEADER.encode()
_ID: Final = GATEWAY_ID_HEADER.encode()


class Mirroring(NamedTuple):
    """What the gateway says of a request while a version gets copies.

    Attributes:
        shadow: number of that version; "" when none gets copies.
        id: the gateway's id of the request, which its copy has, too; "" when it gave none.
    """

    shadow: str = ""
    id: str = ""

    def is_copy(self, number: str) -> bool:
        """Whether the server of this version has the copy."""
        return bool(self.shadow) and self.shadow == number


NOT_MIRRORED: Final = Mirroring()


def of_headers(headers: Iterable[tuple[bytes, bytes]]) -> Mirroring:
    """From HTTP headers, their names in lower case."""
    for name, value in headers:
        if name == _SHADOW:
            ids = [id_ for other, id_ in headers if other == _ID]
            return _mirroring(value.decode("latin-1"), ids[0].decode("latin-1") if ids else "")
    return NOT_MIRRORED


def of_metadata(metadata: Iterable[tuple[str, str | bytes]] | None) -> Mirroring:
    """From the metadata of a gRPC call."""
    said = {name: value for name, value in metadata or () if isinstance(value, str)}
    shadow = said.get(SHADOW_HEADER)
    return NOT_MIRRORED if shadow is None else _mirroring(shadow, said.get(GATEWAY_ID_HEADER, ""))


def _mirroring(shadow: str, gateway_id: str) -> Mirroring:
    if not (shadow.isascii() and shadow.isdecimal()):
        return NOT_MIRRORED
    kept = gateway_id.isascii() and gateway_id.isprintable() and len(gateway_id) <= MAX_GATEWAY_ID
    return Mirroring(shadow, gateway_id if kept else "")
