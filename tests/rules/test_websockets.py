"""What websockets raises, and the codes that a connection is closed with."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.datastructures import Headers
from websockets.exceptions import (
    ConnectionClosedError,
    InvalidMessage,
    InvalidStatus,
    InvalidURI,
    SecurityError,
)
from websockets.frames import Close
from websockets.http11 import Response

from tieline.failure import Kind, Phase, Safety
from tieline.rules import websockets
from tieline.rules.websockets import Evidence, classify_close, classify_open

STOP = {1000, 1002, 1003, 1007, 1008, 1009, 1010}
RECONNECT = {1001, 1005, 1011, 1012, 1013, 1014}


def status(code: int, **headers: str) -> InvalidStatus:
    """An answer that is no upgrade."""
    return InvalidStatus(Response(code, "x", Headers(headers), b""))


def closed(code: int | None, *, by_us: bool = False, reason: str = "") -> ConnectionClosedError:
    """The end of a connection."""
    if code is None:
        return ConnectionClosedError(None, None)
    frame = Close(code, reason)
    return ConnectionClosedError(None, frame) if by_us else ConnectionClosedError(frame, None)


def test_the_codes_that_end_a_loop() -> None:
    """The stop list, and what is worth coming back for: nothing is in both or in none."""
    stop = {code for code, rule in websockets.RECEIVED.items() if not rule.repeat}
    assert stop == STOP
    assert set(websockets.RECEIVED) - stop == RECONNECT


@given(code=st.integers(3000, 4999))
def test_codes_of_applications(code: int) -> None:
    """Only the application knows: a loop does not go on by itself."""
    failure = classify_close(closed(code), Phase.RECEIVE, reset=False, in_flight=False)
    assert failure is not None
    assert failure.safety is Safety.NEVER
    assert failure.code == str(code)


@given(
    code=st.none() | st.sampled_from(sorted(STOP | RECONNECT)) | st.integers(3000, 4999),
    in_flight=st.booleans(),
    reset=st.booleans(),
    phase=st.sampled_from([Phase.SEND, Phase.RECEIVE]),
)
def test_what_is_in_flight(code: int | None, in_flight: bool, reset: bool, phase: Phase) -> None:
    """It alone decides whether a message may have arrived, whatever the code."""
    failure = classify_close(closed(code), phase, reset=reset, in_flight=in_flight)
    assert failure is not None
    assert failure.maybe_applied is in_flight
    assert failure.sent == (in_flight or failure.safety is Safety.NEVER)
    assert failure.phase is phase


def test_what_we_closed_ourselves() -> None:
    """It is no failure, unless it was because of what came, or did not come."""
    facts = {"phase": Phase.RECEIVE, "reset": False, "in_flight": False}
    assert classify_close(closed(1000, by_us=True), **facts) is None
    assert classify_close(closed(4001, by_us=True), **facts) is None
    assert classify_close(closed(1011, by_us=True), **facts) is None
    ping = classify_close(closed(1011, by_us=True, reason=websockets.PING_TIMEOUT), **facts)
    assert ping is not None
    assert ping.kind is Kind.TIMEOUT
    for code in websockets.FAILED:
        failure = classify_close(closed(code, by_us=True), **facts)
        assert failure is not None
        assert failure.kind is Kind.PROTOCOL


def test_who_closed_first_counts() -> None:
    """An echo of our own code is not the other side's decision."""
    facts = {"phase": Phase.RECEIVE, "reset": False, "in_flight": False}
    both = ConnectionClosedError(Close(1000, ""), Close(1000, ""), rcvd_then_sent=False)
    assert classify_close(both, **facts) is None
    theirs = ConnectionClosedError(Close(1000, ""), Close(1000, ""), rcvd_then_sent=True)
    assert classify_close(theirs, **facts) is not None


@pytest.mark.parametrize(("after", "expected"), [("7", 7.0), ("soon", None), ("-1", None)])
def test_retry_after(after: str, expected: float | None) -> None:
    """Seconds are taken, nonsense is not, and neither is an error."""
    failure = classify_open(status(503, **{"Retry-After": after}), Evidence(Phase.HANDSHAKE))
    assert failure is not None
    assert failure.retry_after == expected


def test_the_answer_tells_more_than_what_was_raised() -> None:
    """A garbled answer is the cause, although the client raised an assertion or a timeout."""
    answer = InvalidMessage("did not receive a valid HTTP response")
    answer.__cause__ = ValueError("invalid HTTP status line")
    evidence = Evidence(Phase.HANDSHAKE, answer=answer)
    for error in (AssertionError(), TimeoutError("timed out"), ConnectionClosedError(None, None)):
        failure = classify_open(error, evidence)
        assert failure is not None
        assert (failure.kind, failure.safety) == (Kind.PROTOCOL, Safety.NEVER)


def test_giving_up_is_no_answer() -> None:
    """A timeout closes the connection, which then ends without an answer: it stays a timeout."""
    answer = InvalidMessage("did not receive a valid HTTP response")
    answer.__cause__ = EOFError("connection closed while reading HTTP status line")
    failure = classify_open(TimeoutError("timed out"), Evidence(Phase.HANDSHAKE, answer=answer))
    assert failure is not None
    assert failure.kind is Kind.TIMEOUT


@pytest.mark.parametrize("secure", [True, False])
def test_a_reset_that_overtakes_the_report_of_the_connection(secure: bool) -> None:
    """Somebody had accepted: the phase is the one after connecting, each time."""
    failure = classify_open(
        ConnectionResetError(104, "reset"), Evidence(Phase.CONNECT, secure=secure)
    )
    assert failure is not None
    assert failure.phase is (Phase.TLS if secure else Phase.HANDSHAKE)


def test_several_addresses_at_once() -> None:
    """The error of asyncio has no number of its own; the last one in its text counts."""
    text = "Multiple exceptions: [Errno 111] Connect call failed ('::1', 1, 0, 0), [Errno 111] x"
    failure = classify_open(OSError(text), Evidence(Phase.CONNECT))
    assert failure is not None
    assert (failure.kind, failure.code) == (Kind.REFUSED, "ECONNREFUSED")


def test_an_end_in_the_middle_of_tls() -> None:
    """On asyncio a FIN is a ConnectionResetError without a number; a reset has its number."""
    evidence = Evidence(Phase.TLS, secure=True)
    end, reset = classify_open(ConnectionResetError(), evidence), None
    assert end is not None
    assert end.kind is Kind.EOF
    reset = classify_open(ConnectionResetError(104, "reset"), evidence)
    assert reset is not None
    assert reset.kind is Kind.RESET


@pytest.mark.parametrize("error", [SecurityError("more than 10 redirects"), InvalidURI("x", "y")])
def test_redirects_that_lead_nowhere(error: Exception) -> None:
    """The server's answer cannot be followed, and will not be better the next time."""
    failure = classify_open(error, Evidence(Phase.HANDSHAKE, answer=status(302)))
    assert failure is not None
    assert failure.safety is Safety.NEVER


def test_what_is_none_of_connecting() -> None:
    """A mistake of the caller's passes as it is."""
    assert classify_open(TypeError("no such argument"), Evidence()) is None
