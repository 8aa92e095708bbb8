"""Which proxy the environment names, remembered for as long as the environment stays the same."""

from __future__ import annotations

import os
import urllib.request
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from websockets.asyncio.client import get_proxy  # type: ignore[attr-defined]  # all have it

if TYPE_CHECKING:
    from collections.abc import Mapping

    from websockets.uri import WebSocketURI

MAX_REMEMBERED: Final = 256
"""Servers whose proxy is remembered."""

_IN_VARIABLES: Final = urllib.request.getproxies is urllib.request.getproxies_environment
"""Whether variables are the only place: not on macOS and Windows, which have settings, too."""


class _Seen(NamedTuple):
    """The variables of the process, and what they came to."""

    process: Mapping[Any, Any]
    found: dict[tuple[bool, str, int], str | None]


_last = _Seen({}, {})


def proxy_for(uri: WebSocketURI) -> str | None:
    """The proxy for a server; None where there is none.

    websockets looks through all variables for each connection, which takes as long as everything
    that we do for it.

    Args:
        uri: Where to.
    """
    global _last  # noqa: PLW0603 - replaced as a whole, so that threads need no lock
    if not _IN_VARIABLES:
        found: str | None = get_proxy(uri)
        return found
    # os.environ decodes each value at each look; the dictionary behind it is compared in no time.
    process = getattr(os.environ, "_data", os.environ)
    seen = _last
    if seen.process != process:
        seen = _last = _Seen(dict(process), {})
    key = (uri.secure, uri.host, uri.port)
    if key not in seen.found:
        if len(seen.found) >= MAX_REMEMBERED:
            seen = _last = _Seen(seen.process, {})
        seen.found[key] = get_proxy(uri)
    return seen.found[key]
