"""What libpq knows about a start-up that failed -> Failure.

psycopg (3.3.9) hands on the text alone, without errno, SQLSTATE or phase, and for a remote host
even the text is wrong, unless one waits for the socket before the first poll. So the seam notes
the evidence while libpq connects, and this module reads it.

The texts below are libpq's own, which reports nothing else for them. What a server says comes
with its SQLSTATE, whatever its language, and what the system says is compared with the system's
own words for its error numbers.
"""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final, cast

from tieline.errors import ConnectTimeout, NameNotResolved, TielineError
from tieline.failure import Kind, Phase
from tieline.rules import sqlstate
from tieline.rules.natives import native_class
from tieline.rules.system import ERRNOS, RESOLVER
from tieline.rules.table import Rule

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tieline.failure import Failure

PHASES: Final[Mapping[str, Phase]] = {
    "": Phase.CONNECT,
    "NEEDED": Phase.CONNECT,
    "STARTED": Phase.CONNECT,
}
"""libpq's connection status before the poll that failed -> phase; every other one: handshake.

``SSL_STARTUP`` among them: it begins by asking the server whether it speaks TLS.
"""

_CERTIFICATE = Rule(Kind.CERTIFICATE, Phase.TLS, repeat=False, hint="certificate")
_NO_TLS = Rule(Kind.TLS, Phase.TLS, repeat=False, hint="no-tls")
_TLS = Rule(Kind.TLS, Phase.TLS, repeat=False, hint="tls")
_CUT = Rule(Kind.EOF, hint="cut")
_ROLE = Rule(Kind.WRONG_ROLE, Phase.HANDSHAKE, hint="role")
_FOREIGN = Rule(Kind.PROTOCOL, Phase.HANDSHAKE, repeat=False, hint="not-postgres")
_LOGIN = Rule(Kind.DENIED, Phase.HANDSHAKE, repeat=False, hint="login")
_NO_PASSWORD = Rule(Kind.DENIED, Phase.HANDSHAKE, repeat=False, hint="no-password")
_NO_NAME = Rule(Kind.NO_NAME, Phase.RESOLVE, repeat=False, hint="no-name")
_OWN_SETTINGS = Rule(Kind.SETTINGS, Phase.CONNECT, repeat=False, hint="own-settings")

TEXTS: Final[Sequence[tuple[str, Rule]]] = (
    ("Temporary failure in name resolution", RESOLVER["EAI_AGAIN"]),
    ("could not translate host name", _NO_NAME),
    ("server does not support SSL", _NO_TLS),
    ("private key file", _OWN_SETTINGS),
    ("certificate", _CERTIFICATE),
    ("expected authentication request", _FOREIGN),
    ("unexpected response from server", _FOREIGN),
    ("received unencrypted data", _FOREIGN),
    ("received invalid", _FOREIGN),
    ("session is read-only", _ROLE),
    ("session is not read-only", _ROLE),
    ("hot standby mode", _ROLE),
    ("no password supplied", _NO_PASSWORD),
    ("authentication method", _LOGIN),
    ("channel binding", _LOGIN),
    ("SCRAM", _LOGIN),
    ("SSL SYSCALL error: EOF", _CUT),
    ("SSL connection has been closed unexpectedly", _CUT),
    ("unexpected eof", _CUT),
    ("SSL error", _TLS),
    ("server closed the connection unexpectedly", _CUT),
    ("invalid", _OWN_SETTINGS),
)
"""Part of libpq's message, without what it quotes -> rule; the first row that matches counts."""

SERVER_TEXTS: Final[Sequence[tuple[str, str]]] = (
    ("password authentication failed", "28P01"),
    ("SASL authentication failed", "28P01"),
    ("authentication failed", "28000"),
    ("no pg_hba.conf entry", "28000"),
    ("no such user", "28000"),
    ("no such database", "3D000"),
    ("the database system is", "57P03"),
    ("too many clients", "53300"),
    ("remaining connection slots", "53300"),
    ("too many connections", "53300"),
    ("no more connections allowed", "53300"),
)
"""Part of a server's English message -> SQLSTATE, where the code itself is missing or says nothing.

The words of PgBouncer are among them.
"""

VAGUE: Final = frozenset({"08P01"})
"""Codes that say nothing: PgBouncer sends 08P01 even for a wrong password."""

CONNINFO_FAULTS: Final[Sequence[tuple[str, str]]] = (
    ('missing "="', "a word without ="),
    ("unterminated quoted string", "a quote that is not closed"),
    ("invalid connection option", "an unknown parameter"),
    ("invalid URI query parameter", "an unknown parameter"),
    ("unexpected spaces", "a space where none can be (write %20)"),
    ("percent-encoded", "a % that begins no escape (write %25)"),
    ("IPv6 host address", "an IPv6 address without its brackets"),
    ("unexpected character", "a character where none can be"),
    ("missing key/value separator", "a parameter without ="),
    ("extra key/value separator", "a parameter with two ="),
)
"""Part of libpq's message about a malformed conninfo -> what is wrong with it.

The messages themselves quote the conninfo, password and all, so they are never shown.
"""

UNKNOWN: Final = Rule(Kind.UNKNOWN)

_TIMEOUT: Final = ERRNOS["ETIMEDOUT"]
_SQLSTATE = re.compile(r"(?<=:  )([0-9A-Z]{5}): ")
_LOCATION = re.compile(r"\n[^\n:]+:  [^\s,]+, \S+:\d+(?=\n|\Z)")
_QUOTED = re.compile(r'"[^"\n]*"')


@dataclass(slots=True)
class Evidence:
    """What was seen of one start-up.

    Attributes:
        status: Name of libpq's status before the poll that failed; empty when there was none.
        tls: Whether TLS had begun.
        text: libpq's message, in the form that psycopg hands on.
        sqlstate: The server's code; empty when it sent none.
        tcp: What the kernel had received at the end: ``fin``, ``rst``, or empty.
        timed_out: Whether our own time limit ended it.
        code_shown: Whether libpq would have shown a SQLSTATE.
    """

    status: str = ""
    tls: bool = False
    text: str = ""
    sqlstate: str = ""
    tcp: str = ""
    timed_out: bool = False
    code_shown: bool = False

    def take_message(self, verbose: str) -> str:
        """Keep a message of libpq's, and give it back as it reads without verbosity.

        It holds two answers of the server where libpq tried again by itself, without TLS.
        """
        found = _SQLSTATE.search(verbose) if self.code_shown else None
        if found is not None:
            self.sqlstate = found[1]
            verbose = _LOCATION.sub("", _SQLSTATE.sub("", verbose))
        self.text = verbose
        return verbose

    @property
    def phase(self) -> Phase:
        """How far it had come."""
        # TLS can begin and fail in one poll; then the message alone tells that it began.
        tls = self.tls or "SSL error" in self.text or "SSL SYSCALL" in self.text
        if tls and self.status == "SSL_STARTUP":
            return Phase.TLS
        return PHASES.get(self.status, Phase.HANDSHAKE)


def native_error(ours: type[TielineError], message: str, pgconn: object = None) -> Exception:
    """What psycopg itself would raise.

    Args:
        ours: Our class for it.
        message: As psycopg words it.
        pgconn: The libpq connection, or what is left of it.
    """
    make = cast("Callable[..., Exception]", native_class("psycopg", ours))
    return make(message, pgconn=pgconn)


def unresolved(host: str, error: Exception) -> Exception:
    """What psycopg raises when a name does not resolve."""
    if isinstance(error, TimeoutError):
        return native_error(ConnectTimeout, f"failed to resolve host {host!r}: {error}")
    if isinstance(error, OSError):
        return native_error(NameNotResolved, f"failed to resolve host {host!r}: {error}")
    return error


def classify_connect(error: Exception, evidence: Evidence) -> Failure | None:
    """The failure behind what psycopg's ``connect`` raised; None if it is no connection failure.

    Args:
        error: What it raised.
        evidence: What was seen; empty where psycopg did not let us look.
    """
    if not isinstance(error, native_class("psycopg", TielineError)):
        return None
    if isinstance(error, native_class("psycopg", ConnectTimeout)):
        evidence.timed_out = True
    evidence.text = evidence.text or str(error)
    return classify_startup(evidence)


def classify_startup(evidence: Evidence) -> Failure:
    """The failure that the evidence shows: the surest sign counts."""
    code = _code_by_text(evidence) or evidence.sqlstate
    if code:
        return sqlstate.lookup(code).failure(Phase.HANDSHAKE, code=code)
    phase = evidence.phase
    if evidence.timed_out:
        return _TIMEOUT.failure(phase)
    text = _QUOTED.sub('""', evidence.text)
    rule = next((rule for part, rule in TEXTS if part in text), UNKNOWN)
    name = system_code(text) if rule is UNKNOWN else ""
    if name:
        rule = ERRNOS[name]
        return rule.failure(rule.phase or phase, code=name)
    if rule in (_CUT, UNKNOWN) and evidence.tcp == "rst":
        # libpq says "closed unexpectedly" for a reset, too.
        return ERRNOS["ECONNRESET"].failure(phase, code="ECONNRESET")
    if rule is UNKNOWN and evidence.tcp == "fin":
        rule = _CUT
    return rule.failure(rule.phase or phase)


def classify_loss(text: str) -> Failure:
    """The failure behind a connection that broke after start-up, without a SQLSTATE.

    Without TLS, libpq has the same words for FIN and RST; it counts as FIN.
    """
    name = system_code(text)
    if name:
        return ERRNOS[name].failure(Phase.RECEIVE, code=name)
    return _CUT.failure(Phase.RECEIVE)


def conninfo_fault(text: str) -> str:
    """What is wrong with a conninfo, without a word of it."""
    return next((said for part, said in CONNINFO_FAULTS if part in text), "malformed")


def system_code(text: str) -> str:
    """The symbolic error number whose words the text holds; empty without one."""
    return next((name for words, name in _system_words() if words in text), "")


@cache
def _system_words() -> tuple[tuple[str, str], ...]:
    numbers = {name: getattr(errno, name, None) for name in ERRNOS}
    words = [(os.strerror(number), name) for name, number in numbers.items() if number]
    # The longest first: "Too many open files in system" holds the words of another one.
    return tuple(sorted(words, key=lambda row: -len(row[0])))


def _code_by_text(evidence: Evidence) -> str:
    if (evidence.code_shown or evidence.sqlstate) and evidence.sqlstate not in VAGUE:
        return ""
    text = _QUOTED.sub('""', evidence.text)
    return next((code for part, code in SERVER_TEXTS if part in text), "")
