"""URLs in texts: what may be shown of them."""

from __future__ import annotations

import re
from typing import Final

_USER: Final = re.compile(r"(?<=//)[^/?#\s]*@")
_VALUE: Final = re.compile(r"(?<==)[^&;#\s]+")

MASK: Final = "***"


def masked(url: str) -> str:
    """The URL without credentials, and without the values in its query and fragment."""
    head, mark, rest = _split(_USER.sub(f"{MASK}@", url))
    if not mark:
        return head
    shown = _VALUE.sub(MASK, rest)
    # A query without = is one value.
    return f"{head}{mark}{shown if '=' in rest else MASK}"


def _split(url: str) -> tuple[str, str, str]:
    found = min((at for at in map(url.find, "?#") if at >= 0), default=-1)
    return (url, "", "") if found < 0 else (url[:found], url[found], url[found + 1 :])
