"""Errors of the system, the resolver and Python's own modules."""

# ruff: noqa: SLF001 - what is cached has to be forgotten when a table changes

from __future__ import annotations

import errno
import os
import socket
import ssl

import pytest

from tieline.failure import Kind, Phase, Safety
from tieline.rules import libpq, system
from tieline.rules.hints import HINTS
from tieline.rules.system import ERRNOS, NAMES, RESOLVER, TYPES, classify, code_of

KINDS = {
    "ECONNREFUSED": (Kind.REFUSED, Phase.CONNECT),
    "EHOSTUNREACH": (Kind.UNREACHABLE, None),
    "ENETUNREACH": (Kind.UNREACHABLE, None),
    "EHOSTDOWN": (Kind.UNREACHABLE, None),
    "ENETDOWN": (Kind.UNREACHABLE, None),
    "EADDRNOTAVAIL": (Kind.LOCAL, Phase.CONNECT),
    "EMFILE": (Kind.LOCAL, Phase.CONNECT),
    "ENFILE": (Kind.LOCAL, Phase.CONNECT),
    "ENOBUFS": (Kind.LOCAL, Phase.CONNECT),
    "EACCES": (Kind.UNREACHABLE, Phase.CONNECT),
    "EPERM": (Kind.UNREACHABLE, Phase.CONNECT),
    "ENOENT": (Kind.UNREACHABLE, Phase.CONNECT),
    "ETIMEDOUT": (Kind.TIMEOUT, None),
    "ECONNRESET": (Kind.RESET, None),
    "ECONNABORTED": (Kind.RESET, None),
    "EPIPE": (Kind.EOF, None),
}
RESOLVING = {
    "EAI_NONAME": Kind.NO_NAME,
    "EAI_NODATA": Kind.NO_NAME,
    "EAI_AGAIN": Kind.RESOLVER,
    "EAI_FAIL": Kind.RESOLVER,
    "EAI_SYSTEM": Kind.RESOLVER,
    "EAI_MEMORY": Kind.LOCAL,
}
BARE = {
    "ssl.SSLCertVerificationError": (ssl.SSLCertVerificationError(1, "verify"), Kind.CERTIFICATE),
    "ssl.SSLEOFError": (ssl.SSLEOFError(8, "EOF occurred in violation of protocol"), Kind.EOF),
    "ssl.SSLZeroReturnError": (ssl.SSLZeroReturnError(6, "closed"), Kind.EOF),
    "ssl.SSLError": (ssl.SSLError(1, "WRONG_VERSION_NUMBER"), Kind.TLS),
    "socket.gaierror": (socket.gaierror(-99, "new"), Kind.RESOLVER),
    "builtins.ConnectionRefusedError": (ConnectionRefusedError(), Kind.REFUSED),
    "builtins.ConnectionResetError": (ConnectionResetError(), Kind.RESET),
    "builtins.ConnectionAbortedError": (ConnectionAbortedError(), Kind.RESET),
    "builtins.BrokenPipeError": (BrokenPipeError(), Kind.EOF),
    "builtins.TimeoutError": (TimeoutError("timed out"), Kind.TIMEOUT),
}
PROOF = [name for name, (_, phase) in KINDS.items() if phase is None]


@pytest.mark.parametrize("name", ERRNOS)
def test_error_number(name: str) -> None:
    """Each number of the table is told by the error that the system raises for it."""
    kind, phase = KINDS[name]
    number = getattr(errno, name)
    failure = classify(OSError(number, os.strerror(number)), Phase.HANDSHAKE)
    assert failure is not None
    assert (failure.kind, failure.code) == (kind, name)
    assert failure.phase is (phase or Phase.HANDSHAKE)


@pytest.mark.parametrize("name", PROOF)
def test_only_a_proof_moves_the_phase(name: str) -> None:
    """An established connection dies of a lost route as well: that proves nothing unsent."""
    failure = classify(OSError(getattr(errno, name), "gone"), Phase.RECEIVE)
    assert failure is not None
    assert failure.phase is Phase.RECEIVE
    assert failure.safety is Safety.IF_IDEMPOTENT
    assert failure.maybe_applied


@pytest.mark.parametrize("name", ERRNOS)
def test_no_number_is_dead(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its row a number would be told otherwise, by the error or in libpq's words."""
    number = getattr(errno, name)
    text = f"could not connect: {os.strerror(number)}\n"

    def verdicts() -> tuple[object, ...]:
        libpq._system_words.cache_clear()
        return (
            classify(OSError(number, "x"), Phase.SEND),
            libpq.classify_startup(libpq.Evidence(text=text)),
        )

    before = verdicts()
    fewer = {key: rule for key, rule in ERRNOS.items() if key != name}
    monkeypatch.setattr(system, "ERRNOS", fewer)
    monkeypatch.setattr(libpq, "ERRNOS", fewer)
    without = verdicts()
    libpq._system_words.cache_clear()
    assert before != without


@pytest.mark.parametrize("name", RESOLVER)
def test_resolver_code(name: str) -> None:
    """A name that does not exist is hopeless; a name service that is silent is not."""
    failure = classify(socket.gaierror(getattr(socket, name), "x"), Phase.CONNECT)
    assert failure is not None
    assert (failure.kind, failure.code) == (RESOLVING[name], name)
    assert failure.phase is Phase.RESOLVE
    hopeless = failure.kind is Kind.NO_NAME
    assert failure.safety is (Safety.NEVER if hopeless else Safety.ALWAYS)


@pytest.mark.parametrize("name", TYPES)
def test_type_without_a_number(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bare errors, as asyncio raises them, are told by their type; each row is needed."""
    error, kind = BARE[name]
    failure = classify(error, Phase.RECEIVE)
    assert failure is not None
    assert (failure.kind, failure.code) == (kind, "")
    monkeypatch.setattr(system, "TYPES", {key: rule for key, rule in TYPES.items() if key != name})
    assert classify(error, Phase.RECEIVE) != failure


def test_errno_of_tls_is_not_the_systems() -> None:
    """OpenSSL's 1 would read EPERM, also in a subclass of another module."""
    subclass = type("MyTLSError", (ssl.SSLError,), {})
    for cls in (ssl.SSLError, ssl.SSLCertVerificationError, subclass):
        assert code_of(cls(1, "x")) == ""
        assert code_of(cls(errno.ECONNRESET, "x")) == ""


@pytest.mark.parametrize("error", [ssl.SSLError(1, "BAD_RECORD_MAC"), ssl.SSLEOFError(8, "EOF")])
def test_tls_error_proves_no_handshake(error: Exception) -> None:
    """A stream breaks inside TLS after the request as well: that must not read as unsent."""
    failure = classify(error, Phase.RECEIVE)
    assert failure is not None
    assert failure.phase is Phase.RECEIVE
    assert failure.maybe_applied


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("name", NAMES)
def test_bad_text_is_a_bad_name_only_before_a_connection(name: str, phase: Phase) -> None:
    """A `UnicodeDecodeError` in an application's own code is no unknown host."""
    assert name == "builtins.UnicodeError"
    for error in (UnicodeError("label too long"), UnicodeDecodeError("utf-8", b"x", 0, 1, "bad")):
        failure = classify(error, phase)
        if phase in (Phase.RESOLVE, Phase.CONNECT):
            assert failure is not None
            assert (failure.kind, failure.phase) == (Kind.NO_NAME, Phase.RESOLVE)
        else:
            assert failure is None


def test_errors_about_files_are_none_of_our_business(tmp_path) -> None:
    """A missing file is no missing Unix socket: the function that opened it is not repeated."""
    with pytest.raises(FileNotFoundError) as missing:
        (tmp_path / "nothing").open()
    assert classify(missing.value, Phase.RECEIVE) is None
    with socket.socket(socket.AF_UNIX) as client, pytest.raises(FileNotFoundError) as no_socket:
        client.connect(str(tmp_path / "nothing"))
    failure = classify(no_socket.value, Phase.CONNECT)
    assert failure is not None
    assert failure.kind is Kind.UNREACHABLE


@pytest.mark.parametrize("error", [ValueError("x"), OSError("x"), OSError(errno.EISDIR, "x")])
def test_unknown_errors_stay_unknown(error: Exception) -> None:
    """What the tables do not know is not guessed at."""
    assert classify(error, Phase.CONNECT) is None


def test_every_hint_has_a_text() -> None:
    """A rule that points to a hint finds it."""
    rules = [*ERRNOS.values(), *RESOLVER.values(), *TYPES.values(), *NAMES.values()]
    assert all(rule.hint in HINTS for rule in rules)
