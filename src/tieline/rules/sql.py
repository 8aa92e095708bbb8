"""What a lost connection means for the statement that was under way."""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_COMMENT = re.compile(rb"/\*.*?\*/|--[^\n]*", re.DOTALL)
_ENDS = re.compile(
    rb"(?:\A|;)\s*(?:commit|end|prepare\s+transaction)\b",
    re.IGNORECASE,
)


class Fate(Enum):
    """What may have become of a statement whose answer never came."""

    ROLLED_BACK = "rolled-back"
    """It ran inside a transaction, which the server rolls back when the connection is gone."""
    UNKNOWN = "unknown"
    """It may have been applied for good."""


def ends_transaction(statement: bytes) -> bool:
    """Whether a statement makes a transaction's work permanent, should it arrive.

    COMMIT and its synonyms, and PREPARE TRANSACTION, alone or after a semicolon. When in doubt,
    as inside a string, yes: an outcome called unknown is looked up, one called rolled back is
    repeated.
    """
    return _ENDS.search(_COMMENT.sub(b" ", statement)) is not None


FATES: Final[Mapping[tuple[bool, bool], Fate]] = {
    # (the statement ran in a transaction block, it may end that)
    (True, False): Fate.ROLLED_BACK,
    (True, True): Fate.UNKNOWN,
    (False, False): Fate.UNKNOWN,
    (False, True): Fate.UNKNOWN,
}
