"""Fused classes: ours and the client's at once."""

# ruff: noqa: S301, SLF001 - the pickles are our own; `_pgconn` is what a native pickle drops

from __future__ import annotations

import copy
import pickle
import socket
import threading
import traceback
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING

import psycopg
import psycopg_pool
import pytest
import requests
import urllib3
from hypothesis import given
from hypothesis import strategies as st
from psycopg.pq import DiagnosticField
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.frames import Close
from websockets.http11 import Response

import tieline
from tests.rules import worker
from tests.rules.natives import NATIVES, OURS
from tieline import errors
from tieline.rules.fuse import fuse, fused

if TYPE_CHECKING:
    from tieline.errors import TielineError

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
URL = "http://db.example/x"


def with_requests() -> Exception:
    """An error of requests with all that it carries."""
    request = requests.Request("GET", URL).prepare()
    return requests.exceptions.ReadTimeout("slow", request=request, response=requests.Response())


# The client's own error, and which of its attributes must read the same on ours.
REAL = {
    "psycopg": (psycopg.OperationalError("gone"), ("sqlstate", "pgconn", "pgresult")),
    "psycopg-code": (psycopg.errors.AdminShutdown("bye"), ("sqlstate", "pgconn")),
    "pool": (psycopg_pool.PoolTimeout("full"), ("sqlstate",)),
    "requests": (with_requests(), ("request", "response")),
    "urllib3-new": (
        urllib3.exceptions.NewConnectionError(urllib3.connection.HTTPConnection("db"), "no"),
        ("conn",),
    ),
    "urllib3-max": (
        urllib3.exceptions.MaxRetryError(
            urllib3.HTTPConnectionPool("db"), URL, urllib3.exceptions.ProtocolError("x")
        ),
        ("pool", "url", "reason"),
    ),
    "urllib3-timeout": (
        urllib3.exceptions.ConnectTimeoutError(urllib3.connection.HTTPConnection("db"), "slow"),
        (),
    ),
    "closed": (
        ConnectionClosedError(Close(1011, "oops"), Close(1000, "bye"), rcvd_then_sent=True),
        ("rcvd", "sent", "rcvd_then_sent"),
    ),
    "status": (InvalidStatus(Response(503, "Busy", {})), ("response",)),  # type: ignore[arg-type]
    "reset": (ConnectionResetError(104, "Connection reset by peer"), ()),
}
real = pytest.mark.parametrize(("native", "names"), REAL.values(), ids=REAL)


def ours_of(native: Exception, cls: type[TielineError] = errors.Aborted) -> TielineError:
    """Ours for a native error."""
    return fuse(cls, type(native), native, "db is gone", {"target": "db"})


@pytest.mark.parametrize("ours", OURS, ids=lambda cls: cls.__name__)
def test_every_pair_fuses(ours: type[TielineError]) -> None:
    """Each of our classes is each of the clients' as well: one class a pair, made once."""
    for native in NATIVES:
        cls = fused(ours, native)
        assert issubclass(cls, ours)
        assert issubclass(cls, native)
        assert cls is fused(ours, native)
        assert cls.__name__ == ours.__name__
        assert cls.__module__ == "tieline"


@pytest.mark.parametrize("ours", OURS, ids=lambda cls: cls.__name__)
def test_every_pair_has_instances_that_pickle(ours: type[TielineError]) -> None:
    """No native class, whatever its initialiser wants, keeps an error from being made or sent."""
    for native in NATIVES:
        error = fuse(ours, native, None, "gone", {"target": "db"})
        back = pickle.loads(pickle.dumps(error))
        assert type(back) is type(error)
        assert (str(back), back.target, repr(back)) == ("gone", "db", repr(error))


@pytest.mark.parametrize("native", NATIVES, ids=lambda cls: cls.__qualname__)
def test_native_class_attributes_stay(native: type[Exception]) -> None:
    """What a client keeps on the class, such as psycopg's `sqlstate`, is read from ours."""
    cls = fused(errors.Aborted, native)
    assert getattr(cls, "sqlstate", None) == getattr(native, "sqlstate", None)


@real
def test_attributes_carry_over(native: Exception, names: tuple[str, ...]) -> None:
    """Code that reads the client's attributes reads the same from ours."""
    error = ours_of(native)
    assert isinstance(error, type(native))
    assert error.args == native.args
    for name in names:
        assert getattr(error, name) is getattr(native, name)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@real
def test_pickle(native: Exception, names: tuple[str, ...], protocol: int) -> None:
    """A fused error crosses a process boundary as what it was."""
    error = ours_of(native)
    error.add_note("hint: look")
    back = pickle.loads(pickle.dumps(error, protocol))
    if protocol > 2 or not isinstance(native, ConnectionResetError):
        # Protocols for Python 2, which had no such class, write OSError in its place.
        assert type(back) is type(error)
    assert isinstance(back, errors.Aborted)
    assert str(back) == "db is gone"
    assert back.__notes__ == ["hint: look"]
    assert all(hasattr(back, name) for name in names)
    assert len(back.args) == len(native.args)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
@real
def test_copy(native: Exception, names: tuple[str, ...], copied) -> None:
    """Copies are of the same class, with the same message."""
    error = ours_of(native)
    back = copied(error)
    assert type(back) is type(error)
    assert (str(back), back.target) == ("db is gone", "db")
    if copied is copy.copy:
        assert vars(back) == vars(error)


def test_what_cannot_be_pickled_becomes_none_and_survives_a_copy() -> None:
    """A lock or a socket in an attribute or argument must not cost the whole error."""
    lock = threading.Lock()
    with socket.socket() as open_socket:
        native = psycopg.OperationalError(lock)
        native.socket = open_socket  # type: ignore[attr-defined]
        error = ours_of(native)
        back = pickle.loads(pickle.dumps(error))
        assert (back.socket, back.args) == (None, (None,))  # type: ignore[attr-defined]
        twin = copy.copy(error)
        assert twin.socket is open_socket  # type: ignore[attr-defined]
        assert twin.args == (lock,)


def test_diag_pickles_as_natively() -> None:
    """A native pickle keeps `.diag`, so ours does; and the error that is pickled stays whole."""
    info: dict[DiagnosticField, bytes | None] = dict.fromkeys(DiagnosticField)
    info[DiagnosticField.CONSTRAINT_NAME] = b"orders_pk"
    native = psycopg.errors.UniqueViolation("dup", info=info)
    error = ours_of(native)
    sentinel = error._pgconn = object()  # type: ignore[attr-defined]
    back = pickle.loads(pickle.dumps(error))
    assert back.diag.constraint_name == error.diag.constraint_name == "orders_pk"  # type: ignore[attr-defined]
    assert back.sqlstate == "23505"  # type: ignore[attr-defined]
    assert error._pgconn is sentinel  # type: ignore[attr-defined]


def test_result_pickles_as_natively() -> None:
    """What the server answered is no object that pickles; psycopg keeps its fields, so we do."""
    connection = psycopg.pq.PGconn.connect_start(b"host=/nowhere")
    info = connection.make_empty_result(psycopg.pq.ExecStatus.FATAL_ERROR)
    native = psycopg.OperationalError("gone", info=info)
    back = pickle.loads(pickle.dumps(ours_of(native)))
    assert back._info == pickle.loads(pickle.dumps(native))._info
    assert set(back._info) == set(DiagnosticField)


def test_verdict_without_a_native_error_has_its_attributes() -> None:
    """A circuit breaker's refusal answers to `.diag` and `.request` as a native error does."""
    refusal = fuse(errors.CircuitOpen, psycopg.OperationalError, None, "open", {})
    assert refusal.diag.sqlstate is None  # type: ignore[attr-defined]
    assert refusal.pgconn is None  # type: ignore[attr-defined]
    refusal = fuse(errors.CircuitOpen, requests.exceptions.ConnectionError, None, "open", {})
    assert refusal.request is refusal.response is None  # type: ignore[attr-defined]


def test_verdict_of_another_class_takes_no_arguments() -> None:
    """Arguments of a foreign error would be nonsense in a class that is not its own."""
    cause = UnicodeError("secret")
    error = fuse(errors.DeadlineExceeded, psycopg.OperationalError, cause, "late", {})
    assert error.args == ("late",)
    assert error.diag.sqlstate is None  # type: ignore[attr-defined]
    assert fuse(errors.DeadlineExceeded, None, cause, "late", {}).args == ("late",)


def test_second_verdict_replaces_the_first() -> None:
    """An error of ours that is judged again stays one pair of classes, which pickles."""
    first = ours_of(psycopg.OperationalError("x"))
    second = ours_of(first, errors.OutcomeUnknown)
    assert not isinstance(second, errors.Aborted)
    assert isinstance(second, psycopg.OperationalError)
    assert type(pickle.loads(pickle.dumps(second))) is type(second)
    assert type(ours_of(first)) is type(first)


class Shouted(fused(errors.Refused, psycopg.OperationalError)):  # type: ignore[misc]
    """A subclass that an application makes of a fused class."""


def test_subclass_of_a_fused_class_pickles_by_its_name() -> None:
    """Subclassing what one caught is allowed, and it stays itself in a pickle."""
    assert type(pickle.loads(pickle.dumps(Shouted("x")))) is Shouted


def test_except_star() -> None:
    """`except*` finds both halves of a fused error in a group."""
    seen = []
    try:
        raise ExceptionGroup("all", [ours_of(psycopg.OperationalError("x")), ValueError("y")])
    except* tieline.Aborted as group:
        seen += group.exceptions
    except* ValueError as group:
        seen += group.exceptions
    assert [type(error).__name__ for error in seen] == ["Aborted", "ValueError"]
    assert isinstance(seen[0], psycopg.OperationalError)


def test_traceback_shows_name_message_and_cause() -> None:
    """A traceback names the public class, and the native error stays above it."""
    try:
        try:
            raise psycopg.OperationalError("native words")
        except psycopg.Error as native:
            error = fuse(errors.Refused, type(native), native, "db refused", {"errno": 111})
            error.add_note("hint: start it")
            raise error from native
    except tieline.Refused as caught:
        text = "".join(traceback.format_exception(caught))
    head, _, tail = text.partition("direct cause")
    assert "psycopg.OperationalError: native words" in head
    assert tail.endswith("tieline.Refused: db refused\nhint: start it\n")


def test_across_processes() -> None:
    """An error raised in a worker process is caught by either of its classes in the parent."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        with pytest.raises(tieline.Aborted) as caught:
            pool.submit(worker.fail).result(timeout=30)
        # The pool would be broken, had the error been one that cannot be loaded.
        assert pool.submit(len, "abc").result(timeout=30) == 3
    error = caught.value
    assert isinstance(error, psycopg.errors.AdminShutdown)
    assert (str(error), error.sqlstate, error.lock) == ("db is gone", "57P01", None)  # type: ignore[attr-defined]


@given(message=st.text(), args=st.lists(st.text() | st.integers() | st.none()))
def test_one_line_whatever_the_native_error_holds(message: str, args: list[object]) -> None:
    """`str()` is one line, and arguments of the native error stay as they were."""
    native = psycopg.OperationalError(*args)
    error = fuse(errors.Aborted, type(native), native, message, {})
    assert len(str(error).splitlines()) <= 1
    assert error.args == tuple(args)
    assert pickle.loads(pickle.dumps(error)).args == tuple(args)
