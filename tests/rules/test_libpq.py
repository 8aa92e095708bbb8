"""What libpq knows about a failed start-up."""

from __future__ import annotations

import os
import re

import psycopg
import psycopg.conninfo
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline import errors
from tieline.failure import Kind, Phase, Safety
from tieline.rules import libpq
from tieline.rules.classes import CLASSES
from tieline.rules.hints import HINTS
from tieline.rules.libpq import (
    CONNINFO_FAULTS,
    SERVER_TEXTS,
    TEXTS,
    Evidence,
    classify_connect,
    classify_loss,
    classify_startup,
    conninfo_fault,
    system_code,
)
from tieline.rules.system import ERRNOS

TCP = 'connection to server at "10.0.0.9", port 5432 failed: '
UNIX = 'connection to server on socket "/run/pg/.s.PGSQL.5432" failed: '
CLOSED = (
    "server closed the connection unexpectedly\n\tThis probably means the server terminated "
    "abnormally\n\tbefore or while processing the request.\n"
)
ASKING = "\n\tIs the server running on that host and accepting TCP/IP connections?\n"
GERMAN = f"{TCP}FATAL:  28P01: Passwort-Authentifizierung für Benutzer »app« fehlgeschlagen\n"
DUPLEX = (
    f"{TCP}FATAL:  28000: no pg_hba.conf entry for host, SSL encryption\n"
    "LOCATION:  ClientAuthentication, auth.c:543\n"
    f"{TCP}FATAL:  28000: no pg_hba.conf entry for host, no encryption\n"
    "LOCATION:  ClientAuthentication, auth.c:543\n"
)

# The evidence, then what it means: kind, phase, class, code.
STARTUPS = {
    "refused": (
        Evidence("STARTED", text=f"{TCP}Connection refused{ASKING}"),
        (Kind.REFUSED, Phase.CONNECT, errors.Refused, "ECONNREFUSED"),
    ),
    "refused-unix": (
        Evidence(text=f"{UNIX}Connection refused{ASKING}"),
        (Kind.REFUSED, Phase.CONNECT, errors.Refused, "ECONNREFUSED"),
    ),
    "no-socket": (
        Evidence(text=f"{UNIX}No such file or directory{ASKING}"),
        (Kind.UNREACHABLE, Phase.CONNECT, errors.Unreachable, "ENOENT"),
    ),
    "no-route": (
        Evidence("STARTED", text=f"{TCP}No route to host{ASKING}"),
        (Kind.UNREACHABLE, Phase.CONNECT, errors.Unreachable, "EHOSTUNREACH"),
    ),
    "dropped": (
        Evidence("STARTED", text="connection timeout expired", timed_out=True),
        (Kind.TIMEOUT, Phase.CONNECT, errors.ConnectTimeout, ""),
    ),
    "accepted-then-silent": (
        Evidence("AWAITING_RESPONSE", text="connection timeout expired", timed_out=True),
        (Kind.TIMEOUT, Phase.HANDSHAKE, errors.HandshakeFailed, ""),
    ),
    "silent-in-tls": (
        Evidence("SSL_STARTUP", tls=True, text="connection timeout expired", timed_out=True),
        (Kind.TIMEOUT, Phase.TLS, errors.TLSFailed, ""),
    ),
    "fin": (
        Evidence("AWAITING_RESPONSE", text=TCP + CLOSED, tcp="fin"),
        (Kind.EOF, Phase.HANDSHAKE, errors.HandshakeFailed, ""),
    ),
    "rst": (
        Evidence("AWAITING_RESPONSE", text=TCP + CLOSED, tcp="rst"),
        (Kind.RESET, Phase.HANDSHAKE, errors.HandshakeFailed, "ECONNRESET"),
    ),
    "rst-in-words": (
        Evidence("AWAITING_RESPONSE", text=f"{TCP}Connection reset by peer\n"),
        (Kind.RESET, Phase.HANDSHAKE, errors.HandshakeFailed, "ECONNRESET"),
    ),
    "strange-words-fin": (
        Evidence("AWAITING_RESPONSE", text="Server beendete die Verbindung", tcp="fin"),
        (Kind.EOF, Phase.HANDSHAKE, errors.HandshakeFailed, ""),
    ),
    "strange-words-rst": (
        Evidence("AWAITING_RESPONSE", text="Server beendete die Verbindung", tcp="rst"),
        (Kind.RESET, Phase.HANDSHAKE, errors.HandshakeFailed, "ECONNRESET"),
    ),
    "strange-words": (
        Evidence("AWAITING_RESPONSE", text="Server beendete die Verbindung"),
        (Kind.UNKNOWN, Phase.HANDSHAKE, errors.HandshakeFailed, ""),
    ),
    "tls-cut": (
        Evidence("SSL_STARTUP", tls=True, text=f"{TCP}SSL SYSCALL error: EOF detected\n"),
        (Kind.EOF, Phase.TLS, errors.TLSFailed, ""),
    ),
    "cut-behind-tls": (
        Evidence("AWAITING_RESPONSE", tls=True, text=f"{TCP}SSL SYSCALL error: EOF detected\n"),
        (Kind.EOF, Phase.HANDSHAKE, errors.HandshakeFailed, ""),
    ),
    "tls-reset": (
        Evidence("SSL_STARTUP", tls=True, text=f"{TCP}SSL SYSCALL error: Connection reset by peer"),
        (Kind.RESET, Phase.TLS, errors.TLSFailed, "ECONNRESET"),
    ),
    "unknown-ca": (
        Evidence("SSL_STARTUP", tls=True, text=f"{TCP}SSL error: certificate verify failed\n"),
        (Kind.CERTIFICATE, Phase.TLS, errors.TLSFailed, ""),
    ),
    "unreadable-root": (
        Evidence(
            "SSL_STARTUP", text='could not read root certificate file "/r.pem": Permission denied'
        ),
        (Kind.CERTIFICATE, Phase.TLS, errors.TLSFailed, ""),
    ),
    "no-tls": (
        Evidence("SSL_STARTUP", text=f"{TCP}server does not support SSL, but SSL was required\n"),
        (Kind.TLS, Phase.TLS, errors.TLSFailed, ""),
    ),
    "http": (
        Evidence(
            "AWAITING_RESPONSE",
            text=f"{TCP}expected authentication request from server, but received H\n",
        ),
        (Kind.PROTOCOL, Phase.HANDSHAKE, errors.HandshakeFailed, ""),
    ),
    "http-tls": (
        Evidence("SSL_STARTUP", text=f"{TCP}received invalid response to SSL negotiation: H\n"),
        (Kind.PROTOCOL, Phase.HANDSHAKE, errors.HandshakeFailed, ""),
    ),
    "standby": (
        Evidence("CHECK_STANDBY", text=f"{TCP}server is not in hot standby mode\n"),
        (Kind.WRONG_ROLE, Phase.HANDSHAKE, errors.Declined, ""),
    ),
    "no-password": (
        Evidence("AWAITING_RESPONSE", text=f"{TCP}fe_sendauth: no password supplied\n"),
        (Kind.DENIED, Phase.HANDSHAKE, errors.AuthenticationFailed, ""),
    ),
    "host-named-like-a-failure": (
        Evidence(
            "AWAITING_RESPONSE",
            text=f'connection to server at "certificate.invalid", port 1 failed: {CLOSED}',
        ),
        (Kind.EOF, Phase.HANDSHAKE, errors.HandshakeFailed, ""),
    ),
    "pooler-wrong-password": (
        Evidence(
            "AWAITING_RESPONSE",
            text=f"{TCP}FATAL:  password authentication failed\n",
            sqlstate="08P01",
            code_shown=True,
        ),
        (Kind.DENIED, Phase.HANDSHAKE, errors.AuthenticationFailed, "28P01"),
    ),
    "pooler-without-server": (
        Evidence(
            "AWAITING_RESPONSE",
            text=f"{TCP}FATAL:  server login has been failing, try again later\n",
            sqlstate="08P01",
            code_shown=True,
        ),
        (Kind.EOF, Phase.HANDSHAKE, errors.HandshakeFailed, "08P01"),
    ),
}
SERVER = {
    "28P01": ('password authentication failed for user "app"', errors.AuthenticationFailed),
    "28000": ('role "ghost" does not exist', errors.AuthenticationFailed),
    "3D000": ('database "nope" does not exist', errors.TargetNotFound),
    "53300": ("sorry, too many clients already", errors.TooBusy),
    "57P03": ("the database system is starting up", errors.NotReady),
    "22023": ('invalid value for parameter "work_mem": "banana"', errors.Declined),
    "42704": ('unrecognized configuration parameter "x"', errors.Declined),
}

# One message for each row of TEXTS, in its order.
MESSAGES = (
    'could not translate host name "db" to address: Temporary failure in name resolution',
    'could not translate host name "db" to address: Name or service not known',
    "server does not support SSL, but SSL was required",
    'could not load private key file "/k.pem": Permission denied',
    'server certificate for "other.example" does not match host name "127.0.0.1"',
    "expected authentication request from server, but received S",
    'unexpected response from server; first received character was "x"',
    "received unencrypted data after SSL response",
    "received invalid response to SSL negotiation: H",
    "session is read-only",
    "session is not read-only",
    "server is in hot standby mode",
    "fe_sendauth: no password supplied",
    "authentication method 11 not supported",
    "channel binding is required, but the server did not offer it",
    "error received from server in SCRAM exchange: invalid-proof",
    "SSL SYSCALL error: EOF detected",
    "SSL connection has been closed unexpectedly",
    "SSL error: unexpected eof while reading",
    "SSL error: wrong version number",
    CLOSED,
    'invalid port number: "x"',
)
SERVER_MESSAGES = (
    'password authentication failed for user "app"',
    "SASL authentication failed",
    'LDAP authentication failed for user "app"',
    'no pg_hba.conf entry for host "10.0.0.1", user "app"',
    "no such user: app",
    "no such database: nope",
    "the database system is shutting down",
    "sorry, too many clients already",
    "remaining connection slots are reserved for roles with the SUPERUSER attribute",
    'too many connections for role "app"',
    "no more connections allowed (max_client_conn)",
)
CONNINFOS = (
    "host",
    "host='abc",
    "nosuch=1",
    "postgresql://h/?nosuch=1",
    "postgresql://h/x y?host=b c",
    "postgresql://h%zz/",
    "postgresql://[::1/db",
    "postgresql://[::1]x/db",
    "postgresql://h/?host",
    "postgresql://h/?host=a=b",
)


@pytest.mark.parametrize(("evidence", "expected"), STARTUPS.values(), ids=STARTUPS)
def test_startup(evidence: Evidence, expected: tuple[object, ...]) -> None:
    """The surest sign counts, and each real failure gets its true name."""
    failure = classify_startup(evidence)
    cls = CLASSES[failure.phase, failure.kind]
    assert (failure.kind, failure.phase, cls, failure.code) == expected
    assert not failure.sent
    assert failure.hint == "" or failure.hint in HINTS


def verbose(code: str, text: str) -> str:
    """A server's answer as libpq words it at our request."""
    return f"{TCP}FATAL:  {code}: {text}\nLOCATION:  auth_failed, auth.c:317\n"


@pytest.mark.parametrize(("code", "row"), SERVER.items())
def test_verbose_answer_is_restored(code: str, row: tuple[str, type]) -> None:
    """The code is read from the verbose message, and the user sees the native one."""
    text, cls = row
    evidence = Evidence("AWAITING_RESPONSE", code_shown=True)
    assert evidence.take_message(verbose(code, text)) == f"{TCP}FATAL:  {text}\n"
    assert evidence.sqlstate == code
    failure = classify_startup(evidence)
    assert failure.code == code
    assert CLASSES[failure.phase, failure.kind] is cls


@pytest.mark.parametrize(
    "location",
    [
        "LOCATION:  auth_failed, auth.c:317",
        "ORT:  auth_failed, auth.c:317",
        "LOCATION:  auth_failed, src/backend/libpq/auth.c:317",
        "LOCATION:  auth_failed, C:\\pg\\auth.c:317",
    ],
)
def test_location_goes_and_details_stay(location: str) -> None:
    """Only what verbosity added is taken away, in every language and build."""
    text = f"{TCP}FATAL:  28000: no entry\nDETAIL:  Connect to db:5432, please\nHINT:  Ask.\n"
    evidence = Evidence(code_shown=True)
    assert evidence.take_message(text + location + "\n") == text.replace("28000: ", "")


def test_two_answers_are_restored() -> None:
    """Without being asked, libpq tries again without TLS, and then reports both answers."""
    evidence = Evidence("AWAITING_RESPONSE", code_shown=True)
    restored = evidence.take_message(DUPLEX)
    assert evidence.sqlstate == "28000"
    assert "28000" not in restored
    assert "LOCATION" not in restored
    assert restored.count("no pg_hba.conf entry") == restored.count("\n") == 2


def test_answer_in_another_language() -> None:
    """The code speaks for a server whose words are German."""
    evidence = Evidence("AWAITING_RESPONSE", code_shown=True)
    evidence.take_message(GERMAN)
    failure = classify_startup(evidence)
    assert (failure.kind, failure.code, failure.safety) == (Kind.DENIED, "28P01", Safety.NEVER)


@given(st.text())
def test_message_without_a_code_is_kept(text: str) -> None:
    """What libpq itself says passes unchanged, also when no code would be shown."""
    assert Evidence(code_shown=False).take_message(text) == text
    if not re.search(r":  [0-9A-Z]{5}: ", text):
        assert Evidence(code_shown=True).take_message(text) == text


@given(st.text(), st.sampled_from(["", "STARTED", "SSL_STARTUP", "MADE"]), st.booleans())
def test_any_text_has_a_verdict(text: str, status: str, tls: bool) -> None:
    """No message, however strange, leaves a start-up without a failure, and nothing was sent."""
    failure = classify_startup(Evidence(status, tls=tls, text=text))
    assert not failure.sent
    assert classify_loss(text).phase is Phase.RECEIVE


@pytest.mark.parametrize("index", range(len(TEXTS)), ids=lambda index: TEXTS[index][0])
def test_no_text_is_dead(index: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each row is the first to match a real message, and without it the verdict is another."""
    part, rule = TEXTS[index]
    message = TCP + MESSAGES[index]
    unquoted = re.sub(r'"[^"\n]*"', '""', message)
    assert next(row for row in TEXTS if row[0] in unquoted) == (part, rule)
    evidence = Evidence("SSL_STARTUP", tls=True, text=message)
    before = classify_startup(evidence)
    assert before.kind is rule.kind
    monkeypatch.setattr(libpq, "TEXTS", [row for row in TEXTS if row[0] != part])
    assert classify_startup(evidence) != before


@pytest.mark.parametrize("index", range(len(SERVER_TEXTS)), ids=lambda i: SERVER_TEXTS[i][0])
def test_no_server_text_is_dead(index: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where libpq cannot show the code, the words of the server do; each row is needed."""
    part, code = SERVER_TEXTS[index]
    evidence = Evidence("AWAITING_RESPONSE", text=f"{TCP}FATAL:  {SERVER_MESSAGES[index]}\n")
    before = classify_startup(evidence)
    assert before.code == code
    monkeypatch.setattr(libpq, "SERVER_TEXTS", [row for row in SERVER_TEXTS if row[0] != part])
    assert classify_startup(evidence) != before
    evidence.code_shown = True
    assert classify_startup(evidence).code == ""


@pytest.mark.parametrize("index", range(len(CONNINFO_FAULTS)), ids=lambda i: CONNINFO_FAULTS[i][0])
def test_no_conninfo_fault_is_dead(index: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each row explains what the libpq at hand really says."""
    part, said = CONNINFO_FAULTS[index]
    with pytest.raises(psycopg.ProgrammingError) as caught:
        psycopg.conninfo.conninfo_to_dict(CONNINFOS[index])
    text = str(caught.value)
    if part == "unexpected spaces" and part not in text:
        pytest.skip("libpq before 18 takes spaces in a URI")
    assert conninfo_fault(text) == said
    monkeypatch.setattr(
        libpq, "CONNINFO_FAULTS", [row for row in CONNINFO_FAULTS if row[0] != part]
    )
    assert conninfo_fault(text) != said or said == "an unknown parameter"


def test_unknown_conninfo_fault_says_nothing() -> None:
    """The message quotes the conninfo, password and all: not a word of it is shown."""
    assert conninfo_fault('strange thing near "password=hunter2"') == "malformed"


@pytest.mark.parametrize("name", ERRNOS)
def test_words_of_the_system(name: str) -> None:
    """A number's own words are found, even where they begin like another number's."""
    words = os.strerror(getattr(libpq.errno, name))
    assert system_code(f"could not do it: {words}\n") == name


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (f"consuming input failed: {CLOSED}", Kind.EOF),
        ("consuming input failed: Connection reset by peer", Kind.RESET),
        ("consuming input failed: could not receive data: Connection timed out", Kind.TIMEOUT),
        ("sending query failed: could not send data to server: Broken pipe", Kind.EOF),
        ("could not receive data from server: No route to host", Kind.UNREACHABLE),
        ("the connection is lost", Kind.EOF),
    ],
)
def test_loss(text: str, kind: Kind) -> None:
    """What breaks after start-up was sent, whatever the words."""
    failure = classify_loss(text)
    assert (failure.kind, failure.phase) == (kind, Phase.RECEIVE)
    assert failure.maybe_applied


def test_connect_errors_that_are_none() -> None:
    """An error that is no `psycopg.OperationalError` is not ours to explain."""
    assert classify_connect(ValueError("x"), Evidence()) is None
    assert classify_connect(psycopg.ProgrammingError("x"), Evidence()) is None


def test_connect_without_evidence() -> None:
    """Where psycopg did not let us look, its class and its words must do."""
    timeout = psycopg.errors.ConnectionTimeout("connection timeout expired")
    failure = classify_connect(timeout, Evidence())
    assert failure is not None
    assert (failure.kind, failure.phase) == (Kind.TIMEOUT, Phase.CONNECT)
    refused = psycopg.OperationalError(f"connection failed: {TCP}Connection refused")
    failure = classify_connect(refused, Evidence())
    assert failure is not None
    assert failure.kind is Kind.REFUSED


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (TimeoutError("slow"), psycopg.errors.ConnectionTimeout),
        (OSError(-2, "Name or service not known"), psycopg.OperationalError),
        (UnicodeError("label too long"), UnicodeError),
    ],
)
def test_unresolved_is_what_psycopg_raises(error: Exception, expected: type) -> None:
    """A name that fails here fails as it fails in psycopg."""
    assert type(libpq.unresolved("db", error)) is expected
