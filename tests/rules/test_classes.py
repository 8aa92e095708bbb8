"""(phase, kind) -> class."""

from __future__ import annotations

import itertools

import pytest

from tests.rules.natives import OURS
from tieline import errors
from tieline.failure import REQUEST_PHASES, Kind, Phase
from tieline.rules.classes import CLASSES


def test_table_is_total() -> None:
    """No failure is without a class, and none is listed that cannot exist."""
    assert set(CLASSES) == set(itertools.product(Phase, Kind))


def test_every_class_of_a_failure_is_reachable() -> None:
    """A class that nothing is raised as would be an `except` clause that never runs."""
    of_failures = {
        cls for cls in OURS if issubclass(cls, errors.ConnectFailed | errors.ConnectionLost)
    }
    assert set(CLASSES.values()) == of_failures


@pytest.mark.parametrize(("phase", "kind"), CLASSES)
def test_connect_failed_means_that_no_request_was_sent(phase: Phase, kind: Kind) -> None:
    """`ConnectFailed` promises that nothing was sent: it must not come out of a request."""
    in_request = phase in REQUEST_PHASES
    family = errors.ConnectionLost if in_request else errors.ConnectFailed
    assert issubclass(CLASSES[phase, kind], family)


@pytest.mark.parametrize(
    ("phase", "kind", "expected"),
    [
        (Phase.CONNECT, Kind.REFUSED, errors.Refused),
        (Phase.CONNECT, Kind.UNREACHABLE, errors.Unreachable),
        (Phase.CONNECT, Kind.TIMEOUT, errors.ConnectTimeout),
        (Phase.CONNECT, Kind.RESET, errors.HandshakeFailed),
        (Phase.CONNECT, Kind.LOCAL, errors.ConnectFailed),
        (Phase.RESOLVE, Kind.NO_NAME, errors.NameNotResolved),
        (Phase.RESOLVE, Kind.TIMEOUT, errors.NameNotResolved),
        (Phase.TLS, Kind.CERTIFICATE, errors.TLSFailed),
        (Phase.TLS, Kind.EOF, errors.TLSFailed),
        (Phase.HANDSHAKE, Kind.EOF, errors.HandshakeFailed),
        (Phase.HANDSHAKE, Kind.TIMEOUT, errors.HandshakeFailed),
        (Phase.HANDSHAKE, Kind.DENIED, errors.AuthenticationFailed),
        (Phase.HANDSHAKE, Kind.NO_TARGET, errors.TargetNotFound),
        (Phase.HANDSHAKE, Kind.BUSY, errors.TooBusy),
        (Phase.HANDSHAKE, Kind.NOT_READY, errors.NotReady),
        (Phase.HANDSHAKE, Kind.WRONG_ROLE, errors.Declined),
        (Phase.CONNECT, Kind.EOF, errors.HandshakeFailed),
        (Phase.HANDSHAKE, Kind.SHUTDOWN, errors.NotReady),
        (Phase.HANDSHAKE, Kind.SETTINGS, errors.Declined),
        (Phase.HANDSHAKE, Kind.ANSWERED, errors.Declined),
        (Phase.HANDSHAKE, Kind.SERVER_ERROR, errors.Declined),
        (Phase.HANDSHAKE, Kind.UNSUPPORTED, errors.Declined),
        (Phase.HANDSHAKE, Kind.REQUEST_TIMEOUT, errors.Declined),
        (Phase.HANDSHAKE, Kind.CONFLICT, errors.Declined),
        (Phase.SEND, Kind.EOF, errors.Aborted),
        (Phase.SEND, Kind.STALE, errors.Aborted),
        (Phase.RECEIVE, Kind.SHUTDOWN, errors.Aborted),
        (Phase.RECEIVE, Kind.RESET, errors.Reset),
        (Phase.RECEIVE, Kind.TIMEOUT, errors.ResponseTimeout),
        (Phase.RECEIVE, Kind.PROTOCOL, errors.BadAnswer),
        (Phase.RECEIVE, Kind.UNKNOWN, errors.ConnectionLost),
    ],
)
def test_class_of_a_failure(phase: Phase, kind: Kind, expected: type) -> None:
    """The classes that users write down mean what their docstrings say."""
    assert CLASSES[phase, kind] is expected
