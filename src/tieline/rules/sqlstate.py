"""SQLSTATE -> Rule.

The codes are those of PostgreSQL's appendix A ("PostgreSQL Error Codes"). A code that is not
here is looked up by its class, the first two characters; then the server is alive and said no.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tieline.failure import Kind
from tieline.rules.table import Rule, first

if TYPE_CHECKING:
    from collections.abc import Mapping

SQLSTATES: Final[Mapping[str, Rule]] = {
    # Class 08, connection exceptions: the server or a pooler in between gave the connection up.
    # PgBouncer has 08P01 for whatever it has no other code for.
    "08": Rule(Kind.EOF, hint="server-gone"),
    # Class 28: who are you? Offered once, never repeated: repetition locks accounts.
    "28": Rule(Kind.DENIED, repeat=False, hint="login"),
    # A role that may not connect to this database.
    "42501": Rule(Kind.DENIED, repeat=False, hint="login"),
    "3D000": Rule(Kind.NO_TARGET, repeat=False, hint="no-database"),
    # Settings in the start-up packet.
    "22023": Rule(Kind.SETTINGS, repeat=False, hint="startup-settings"),
    "42704": Rule(Kind.SETTINGS, repeat=False, hint="startup-settings"),
    # Class 53, insufficient resources, and the one of them that passes by waiting in line.
    "53": Rule(Kind.SERVER_ERROR, repeat=False, hint="server-resources"),
    "53300": Rule(Kind.BUSY, hint="too-many-connections"),
    # Class 57, operator intervention.
    "57P01": Rule(Kind.SHUTDOWN, hint="server-stopping"),
    "57P02": Rule(Kind.SHUTDOWN, hint="server-crashed"),
    "57P03": Rule(Kind.NOT_READY, hint="server-starting"),
    "57P04": Rule(Kind.NO_TARGET, repeat=False, hint="no-database"),
    # The session was idle, so whatever we sent was never read.
    "57P05": Rule(Kind.SHUTDOWN, unsent=True, hint="idle-timeout"),
    "25P03": Rule(Kind.SHUTDOWN, unsent=True, hint="idle-timeout"),
    "25P04": Rule(Kind.SHUTDOWN, hint="transaction-timeout"),
    # After a failover the old primary is a standby: connect again, elsewhere.
    "25006": Rule(Kind.WRONG_ROLE, unsent=True, hint="read-only"),
    "40001": Rule(Kind.CONFLICT, hint="serialization"),
    "40P01": Rule(Kind.CONFLICT, hint="serialization"),
    # Classes 58 and XX: the server's disk, and its own faults.
    "58": Rule(Kind.SERVER_ERROR, repeat=False, hint="server-resources"),
    "XX": Rule(Kind.SERVER_ERROR, repeat=False, hint="server-fault"),
}

OTHER: Final = Rule(Kind.ANSWERED, repeat=False)
"""Every other code: syntax, constraints, data, privileges."""


def lookup(code: str) -> Rule:
    """The rule of a SQLSTATE: exact, then by class, then `OTHER`."""
    found = first(SQLSTATES, (code, code[:2]))
    return OTHER if found is None else found[1]
