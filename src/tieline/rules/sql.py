"""What a lost connection means for the statement that was under way."""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_ENDS = re.compile(
    # Where a statement may begin: at the start, or after a semicolon, a comment, a line with one.
    rb"(?:\A|;|\*/|(?>^[^\n]*--[^\n]*+))\s*+"
    # A rollback keeps nothing, but a second statement sent with it would run on its own.
    rb"(?:commit\b|end\b|prepare\s*+(?:transaction\b|/\*|--)|(?:rollback|abort)\b[^;]*+;\s*+\S)",
    re.IGNORECASE | re.MULTILINE,
)


class Fate(Enum):
    """What may have become of a statement whose answer never came."""

    ROLLED_BACK = "rolled-back"
    """It ran inside a transaction, which the server rolls back when the connection is gone."""
    UNKNOWN = "unknown"
    """It may have been applied for good."""


def ends_transaction(statement: bytes) -> bool:
    """Whether a statement makes a transaction's work permanent, should it arrive.

    COMMIT and its synonyms, and PREPARE TRANSACTION, alone or after a semicolon or a comment.
    When in doubt, as inside a string, yes: an outcome called unknown is looked up, one called
    rolled back is repeated.
    """
    return _ENDS.search(statement) is not None


FATES: Final[Mapping[tuple[bool, bool], Fate]] = {
    # (the statement ran in a transaction block, it may end that)
    (True, False): Fate.ROLLED_BACK,
    (True, True): Fate.UNKNOWN,
    (False, False): Fate.UNKNOWN,
    (False, True): Fate.UNKNOWN,
}
