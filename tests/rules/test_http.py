"""What urllib3's errors and a server's answers mean."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from http import client

import pytest
from hypothesis import given
from hypothesis import strategies as st
from urllib3 import HTTPConnectionPool
from urllib3 import exceptions as native
from urllib3.connection import HTTPConnection

from tieline import errors
from tieline.failure import Kind, Phase, Safety
from tieline.rules import http, http_native

POOL = HTTPConnectionPool("db", 80)
CONNECTION = HTTPConnection("db", 80)
URL = "/pay?token=s3cret&page=2"
DATE = "Tue, 24 Nov 2026 11:00:00 GMT"
LATER = "Tue, 24 Nov 2026 11:00:07 GMT"


@dataclass
class Noted:
    """What a connection noted."""

    phase: Phase | None = Phase.RECEIVE
    sent: int = 120
    reused: bool = False
    answered: bool = False


def caused(error: Exception, cause: Exception) -> Exception:
    """The error, raised from its cause."""
    error.__cause__ = cause
    return error


def aborted(cause: Exception) -> Exception:
    """What urllib3 makes of a connection that broke."""
    return native.ProtocolError("Connection aborted.", cause)


REFUSED = ConnectionRefusedError(111, "Connection refused")
RESET = ConnectionResetError(104, "Connection reset by peer")


@pytest.mark.parametrize(
    ("error", "noted", "phase", "kind", "code"),
    [
        (
            caused(native.NewConnectionError(CONNECTION, "no"), REFUSED),
            Noted(Phase.CONNECT, 0),
            Phase.CONNECT,
            Kind.REFUSED,
            "ECONNREFUSED",
        ),
        (
            native.NameResolutionError("db", CONNECTION, socket.gaierror(-2, "unknown")),
            Noted(Phase.RESOLVE, 0),
            Phase.RESOLVE,
            Kind.RESOLVER,
            "",
        ),
        (
            caused(native.NewConnectionError(CONNECTION, "no"), socket.gaierror(-2, "unknown")),
            Noted(Phase.CONNECT, 0),
            Phase.RESOLVE,
            Kind.NO_NAME,
            "EAI_NONAME",
        ),
        (
            caused(native.ReadTimeoutError(POOL, URL, "slow"), TimeoutError("timed out")),
            Noted(Phase.TLS, 0),
            Phase.TLS,
            Kind.TIMEOUT,
            "",
        ),
        (
            caused(native.ReadTimeoutError(POOL, URL, "slow"), TimeoutError("timed out")),
            Noted(),
            Phase.RECEIVE,
            Kind.TIMEOUT,
            "",
        ),
        (
            native.SSLError(ssl.SSLCertVerificationError(1, "bad")),
            Noted(Phase.TLS, 0),
            Phase.TLS,
            Kind.CERTIFICATE,
            "",
        ),
        (aborted(client.RemoteDisconnected("gone")), Noted(), Phase.RECEIVE, Kind.EOF, ""),
        (aborted(RESET), Noted(), Phase.RECEIVE, Kind.RESET, "ECONNRESET"),
        (aborted(client.BadStatusLine("SSH-2.0")), Noted(), Phase.RECEIVE, Kind.PROTOCOL, ""),
        (
            aborted(client.IncompleteRead(b"")),
            Noted(answered=True),
            Phase.RECEIVE,
            Kind.PROTOCOL,
            "",
        ),
        (
            native.ProxyError("no", OSError("Tunnel connection failed: 407 Who are you")),
            Noted(Phase.HANDSHAKE, 0),
            Phase.HANDSHAKE,
            Kind.DENIED,
            "407",
        ),
        (
            native.ProxyError("no", OSError("Tunnel connection failed: 503 Later")),
            Noted(Phase.HANDSHAKE, 0),
            Phase.HANDSHAKE,
            Kind.NOT_READY,
            "503",
        ),
        (
            native.ProxyError("no", OSError("Tunnel connection failed: 403 No")),
            Noted(Phase.HANDSHAKE, 0),
            Phase.HANDSHAKE,
            Kind.ANSWERED,
            "403",
        ),
        (native.EmptyPoolError(POOL, "full"), Noted(None, 0), Phase.CONNECT, Kind.LOCAL, ""),
        (
            native.LocationParseError("a..b"),
            Noted(Phase.RESOLVE, 0),
            Phase.RESOLVE,
            Kind.NO_NAME,
            "",
        ),
        (aborted(OSError("what?")), Noted(), Phase.RECEIVE, Kind.UNKNOWN, ""),
    ],
)
def test_errors(error: Exception, noted: Noted, phase: Phase, kind: Kind, code: str) -> None:
    """The innermost cause says what happened, the connection says when."""
    failure = http.classify(error, noted)
    assert failure is not None
    assert (failure.phase, failure.kind, failure.code) == (phase, kind, code)


@pytest.mark.parametrize(
    "error",
    [ValueError("bad header"), native.ClosedPoolError(POOL, "closed"), native.InvalidHeader("x")],
)
def test_unknown_errors(error: Exception) -> None:
    """What is no connection failure is none of our business."""
    assert http.classify(error, Noted()) is None


def test_nothing_sent_is_safe_in_any_phase() -> None:
    """A broken pipe before the first byte was taken: nothing can have been applied."""
    failure = http.classify(aborted(RESET), Noted(Phase.RECEIVE, 0))
    assert (failure.safety, failure.maybe_applied, failure.sent) == (Safety.ALWAYS, False, False)


def test_without_a_probe_an_error_counts_as_sent() -> None:
    """Where no connection of ours could look, only what proves a phase is safe."""
    unseen = Noted(None, 0)
    assert http.classify(aborted(RESET), unseen).sent
    refused = caused(native.NewConnectionError(CONNECTION, "no"), REFUSED)
    assert http.classify(refused, unseen).safety is Safety.ALWAYS


@pytest.mark.parametrize(
    ("noted", "kind", "safety"),
    [
        (Noted(sent=0, reused=True), Kind.STALE, Safety.ALWAYS),
        (Noted(reused=True), Kind.STALE, Safety.IF_IDEMPOTENT),
        (Noted(reused=True, answered=True), Kind.EOF, Safety.IF_IDEMPOTENT),
        (Noted(), Kind.EOF, Safety.IF_IDEMPOTENT),
    ],
)
def test_stale_connections(noted: Noted, kind: Kind, safety: Safety) -> None:
    """A kept connection that ends before anything came back was dead; one that answered was not."""
    failure = http.classify(aborted(client.RemoteDisconnected("gone")), noted)
    assert (failure.kind, failure.safety) == (kind, safety)


def test_a_kept_connection_that_is_silent_is_not_stale() -> None:
    """Silence is no sign of death: the server may be at work."""
    silent = caused(native.ReadTimeoutError(POOL, URL, "slow"), TimeoutError("timed out"))
    assert http.classify(silent, Noted(reused=True)).kind is Kind.TIMEOUT


def test_a_stream_that_breaks_inside_tls_may_be_repeated() -> None:
    """In the handshake the two disagree for good; afterwards it is one stream that broke."""
    broken = native.SSLError(ssl.SSLError(1, "wrong version"))
    assert http.classify(broken, Noted(Phase.TLS, 0)).safety is Safety.NEVER
    assert http.classify(broken, Noted()).safety is Safety.IF_IDEMPOTENT


@pytest.mark.parametrize(
    ("text", "kind", "hint"),
    [
        ("Client private key is encrypted, password is required", Kind.TLS, "client-key"),
        ('Fingerprints did not match. Expected "a", got "b"', Kind.CERTIFICATE, "fingerprint"),
    ],
)
def test_words_of_urllib3_about_tls(text: str, kind: Kind, hint: str) -> None:
    """Some of its errors have nothing inside, and say it in words alone."""
    failure = http.classify(native.SSLError(text), Noted(Phase.TLS, 0))
    assert (failure.kind, failure.hint, failure.safety) == (kind, hint, Safety.NEVER)


@pytest.mark.parametrize(
    ("error", "noted", "safety"),
    [
        (native.SSLError(ssl.SSLError(1, "no")), Noted(Phase.TLS, 0), Safety.ALWAYS),
        (aborted(client.BadStatusLine("x")), Noted(), Safety.IF_IDEMPOTENT),
        (aborted(client.BadStatusLine("x")), Noted(sent=0), Safety.ALWAYS),
        (aborted(RESET), Noted(), Safety.IF_IDEMPOTENT),
        (
            native.ProxyError("no", OSError("Tunnel connection failed: 407 Who")),
            Noted(Phase.HANDSHAKE, 0),
            Safety.NEVER,
        ),
    ],
)
def test_hope_is_theirs(error: Exception, noted: Noted, safety: Safety) -> None:
    """The caller's settings say what may pass; what may have been applied stays what it is."""
    assert http.as_theirs(http.classify(error, noted)).safety is safety


@pytest.mark.parametrize(
    ("status", "kind", "safety"),
    [
        (408, Kind.REQUEST_TIMEOUT, Safety.IF_IDEMPOTENT),
        (429, Kind.BUSY, Safety.IF_IDEMPOTENT),
        (500, Kind.SERVER_ERROR, Safety.NEVER),
        (501, Kind.UNSUPPORTED, Safety.NEVER),
        (502, Kind.NOT_READY, Safety.IF_IDEMPOTENT),
        (503, Kind.NOT_READY, Safety.IF_IDEMPOTENT),
        (504, Kind.NOT_READY, Safety.IF_IDEMPOTENT),
        (599, Kind.SERVER_ERROR, Safety.NEVER),
    ],
)
def test_statuses(status: int, kind: Kind, safety: Safety) -> None:
    """What an answer means, and whether asking again can help."""
    failure = http.status_failure(status, 3.0, wanted=False)
    assert (failure.phase, failure.kind, failure.safety) == (Phase.RECEIVE, kind, safety)
    assert (failure.code, failure.retry_after) == (str(status), 3.0)


@pytest.mark.parametrize("status", [100, 200, 204, 301, 304, 400, 401, 403, 404, 409, 413, 422])
def test_answers_of_a_server_that_is_well(status: int) -> None:
    """Any other answer is a success, as far as the server is concerned."""
    assert http.status_failure(status, None, wanted=False) is None


@pytest.mark.parametrize("status", [404, 500, 503])
def test_statuses_that_the_caller_wants_repeated(status: int) -> None:
    """The caller's own list counts; a server that says 404 is still well."""
    failure = http.status_failure(status, None, wanted=True)
    assert failure.safety is Safety.IF_IDEMPOTENT
    assert (failure.kind is Kind.ANSWERED) == (status == 404)


@pytest.mark.parametrize(
    ("status", "ours"),
    [
        (429, errors.TooBusy),
        (503, errors.TooBusy),
        (502, errors.NotReady),
        (500, errors.Declined),
        (404, errors.Declined),
    ],
)
def test_classes_of_answers(status: int, ours: type) -> None:
    """An answer that is raised declines; it is no lost connection."""
    assert http.answer_class(http.status_failure(status, None, wanted=True)) is ours


def test_a_lost_connection_is_no_answer() -> None:
    """Without an answer the table of classes decides."""
    assert http.answer_class(http.classify(aborted(RESET), Noted())) is None


@pytest.mark.parametrize(
    ("value", "date", "seconds"),
    [
        ("7", None, 7.0),
        (" 7 ", None, 7.0),
        ("0", None, 0.0),
        (LATER, DATE, 7.0),
        (DATE, LATER, 0.0),
        (LATER, "nonsense", 17.0),
        (LATER, None, 17.0),
        ("99999999999", None, http.MAX_RETRY_AFTER),
        ("9" * 400, None, http.MAX_RETRY_AFTER),
        ("banana", DATE, None),
        ("-5", DATE, None),
        ("1.5", DATE, None),
        ("", DATE, None),
        ("٣", DATE, None),
        ("Tue, 99 Nov 2026 11:00:00 GMT", DATE, None),
        (None, DATE, None),
    ],
)
def test_retry_after(value: str | None, date: str | None, seconds: float | None) -> None:
    """Both forms count, a date against the server's own clock; a malformed one is ignored."""
    now = 1795518000.0 - 10.0  # ten seconds before 11:00:00
    assert http.retry_after(value, date, now) == seconds


@given(st.text(), st.none() | st.text())
def test_retry_after_never_raises(value: str, date: str | None) -> None:
    """No header of a server breaks a call."""
    seconds = http.retry_after(value, date, 0.0)
    assert seconds is None or 0 <= seconds <= http.MAX_RETRY_AFTER


@pytest.mark.parametrize(
    ("method", "headers", "harmless"),
    [
        ("GET", None, True),
        ("get", {}, True),
        ("PUT", None, True),
        ("DELETE", None, True),
        ("POST", {}, False),
        ("PATCH", {"Content-Type": "x"}, False),
        ("POST", {"Idempotency-Key": "1"}, True),
        ("POST", {"idempotency-key": "1"}, True),
        ("POST", {b"Idempotency-Key": b"1"}, True),
        ("CONNECT", None, False),
    ],
)
def test_idempotent_requests(method: str, headers: dict[str, str] | None, harmless: bool) -> None:
    """By method (RFC 9110), or by a key that the caller has sent along."""
    assert http.is_idempotent(method, headers) is harmless


def test_secrets_go_from_texts_and_stay_in_attributes() -> None:
    """`url` is what it was; the words of the error and of its causes show no value of it."""
    error = native.MaxRetryError(POOL, URL, native.HostChangedError(POOL, URL))
    caused(error, error.reason)
    assert http_native.without_secrets(error, URL) is error
    for text in (str(error), repr(error), str(error.__cause__), repr(error.reason)):
        assert "s3cret" not in text
    assert error.url == URL


def test_an_empty_url_leaves_texts_alone() -> None:
    """There is nothing of it in any text."""
    assert str(http_native.without_secrets(ValueError("a b"), "")) == "a b"


@pytest.mark.parametrize(
    ("error", "made"),
    [
        (socket.gaierror(-3, "later"), native.NameResolutionError),
        (TimeoutError("slow"), native.ConnectTimeoutError),
        (REFUSED, native.NewConnectionError),
        (UnicodeError("label"), native.LocationParseError),
    ],
)
def test_what_urllib3_would_raise(error: Exception, made: type[Exception]) -> None:
    """Where we connect in its place, we raise the very class that it raises."""
    assert type(http_native.not_connected(CONNECTION, "db", error)) is made


def test_bad_urls() -> None:
    """A URL that cannot be read is a `ConfigError`, and nothing of it is shown."""
    error = native.LocationParseError("http://user:s3cret@[::")
    made = http_native.bad_url(error)
    assert isinstance(made, errors.ConfigError)
    assert isinstance(made, native.LocationParseError)
    assert "s3cret" not in f"{made}{made!r}{made.__cause__!r}{made.args}"
    assert made.location == "http://user:s3cret@[::"
    other = ValueError("other")
    assert http_native.bad_url(other) is other
