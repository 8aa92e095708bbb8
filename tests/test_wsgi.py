"""Errors of ours that leave a WSGI application.

A WSGI server takes a `ConnectionResetError` (and its like) that leaves an application for a client
that hung up: wsgiref and gunicorn then answer nothing and log nothing. A lost database would be
neither seen by the user nor found in the log. So no error of ours is one, `Reset` and `Aborted`
in particular.
"""

from __future__ import annotations

import io
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import psycopg
import pytest
import requests

from tieline import errors
from tieline.failure import Failure, Kind, Phase, Safety
from tieline.rules.fuse import fuse
from tieline.rules.translate import lost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from wsgiref.types import StartResponse, WSGIEnvironment

ROOT = Path(__file__).parents[1]
NATIVE = psycopg.OperationalError("native words")
RAISED: dict[str, Exception] = {"native": NATIVE} | {
    cls.__name__: fuse(cls, type(NATIVE), NATIVE, "ours", {"errno": 111})
    for cls in (
        errors.Refused,
        errors.Reset,
        errors.Aborted,
        errors.OutcomeUnknown,
        errors.DeadlineExceeded,
    )
}
OURS = sorted(set(RAISED) - {"native"})
# Every error of requests is an OSError.
OVER_HTTP = {
    "http-native": requests.ConnectionError("native words"),
    "http-Reset": lost(
        errors.Reset,
        Failure(Phase.RECEIVE, Kind.RESET, Safety.IF_IDEMPOTENT, code="ECONNRESET"),
        requests.ConnectionError("native words"),
        endpoint=None,
        facts={},
        ending="ours",
        client="requests",
    ),
}
HUNG_UP = {"hung-up": ConnectionResetError(104, "Connection reset by peer")}


def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    """Let the error escape that the path names."""
    name = environ["PATH_INFO"].strip("/")
    if name == "ok":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"ok"]
    raise {**RAISED, **OVER_HTTP, **HUNG_UP}[name]


def status(address: tuple[str, int], name: str) -> int | None:
    """The status of the answer; None where there is none."""
    try:
        with urllib.request.urlopen(f"http://{address[0]}:{address[1]}/{name}", timeout=20) as got:
            return int(got.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except OSError:
        return None


class Logged(WSGIRequestHandler):
    """Logs into memory."""

    log = io.StringIO()

    def get_stderr(self) -> io.StringIO:  # type: ignore[override]
        """Where errors go."""
        return self.log

    def log_message(self, *args: object) -> None:
        """Say nothing of requests."""


Server = tuple[tuple[str, int], "Callable[[], str]"]


@pytest.fixture(scope="module")
def wsgiref_server() -> Iterator[Server]:
    """The standard library's server, and a look into its log."""
    with make_server("127.0.0.1", 0, application, WSGIServer, Logged) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_address[:2], Logged.log.getvalue  # type: ignore[misc]
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def gunicorn_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real gunicorn, and a look into its log."""
    log = tmp_path_factory.mktemp("gunicorn") / "log"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        command = [
            *(sys.executable, "-m", "gunicorn", "--no-control-socket"),
            *("--bind", f"fd://{listener.fileno()}", "--error-logfile", str(log)),
            *("--worker-tmp-dir", str(log.parent), "--chdir", str(ROOT)),
            "tests.test_wsgi:application",
        ]
        process = subprocess.Popen(
            command, pass_fds=(listener.fileno(),), cwd=ROOT, stderr=subprocess.PIPE
        )
        address = listener.getsockname()
        # The socket listens already, so that the first request waits for the server.
        first = status(address, "ok")
        try:
            assert first == 200, process.stderr
            yield address, log.read_text
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=20)


SYSTEM_ERRORS = {name for name in OURS if isinstance(RAISED[name], OSError)}
"""Those that are a builtin OSError by promise: `except ConnectionRefusedError`, `TimeoutError`.

gunicorn's synchronous worker takes every OSError of an application for one of its own socket: it
logs it with its traceback and closes the connection, so that a proxy before it answers 502.
"""


@pytest.mark.parametrize(
    ("server", "name"),
    [("wsgiref_server", name) for name in OURS]
    + [("gunicorn_server", name) for name in OURS if name not in SYSTEM_ERRORS],
)
def test_answers_and_logs_as_for_the_native_error(
    request: pytest.FixtureRequest, server: str, name: str
) -> None:
    """An error of ours is answered 500 and logged, exactly as psycopg's own would be."""
    address, log = request.getfixturevalue(server)
    before = len(log())
    assert status(address, "native") == 500
    native = log()[before:]
    assert "OperationalError: native words" in native
    assert status(address, name) == 500
    ours = log()[before + len(native) :]
    assert f"tieline.{name}: ours" in ours
    assert status(address, "ok") == 200


@pytest.mark.parametrize("name", sorted(SYSTEM_ERRORS))
def test_gunicorn_logs_what_it_does_not_answer(gunicorn_server: Server, name: str) -> None:
    """An error that a server takes for its own must not go unseen."""
    address, log = gunicorn_server
    before = len(log())
    assert status(address, name) is None
    # One worker: by the time of this answer it is through with the request before.
    assert status(address, "ok") == 200
    assert "[ERROR] Socket error processing request." in log()[before:]
    assert f"tieline.{name}: ours" in log()[before:]


@pytest.mark.parametrize("server", ["wsgiref_server", "gunicorn_server"])
def test_a_lost_service_is_seen_as_the_native_error_is(
    request: pytest.FixtureRequest, server: str
) -> None:
    """A service that resets a connection is no client that hung up: answered or logged alike."""
    address, log = request.getfixturevalue(server)
    before = len(log())
    answered = status(address, "http-native")
    assert status(address, "ok") == 200
    native = log()[before:]
    assert status(address, "http-Reset") == answered
    assert status(address, "ok") == 200
    ours = log()[before + len(native) :]
    assert "ConnectionError: native words" in native
    assert "tieline.Reset" in ours


@pytest.mark.parametrize("server", ["wsgiref_server", "gunicorn_server"])
def test_a_hang_up_is_neither_answered_nor_logged(
    request: pytest.FixtureRequest, server: str
) -> None:
    """The harm is real: a `ConnectionResetError` of a database would go unseen."""
    address, log = request.getfixturevalue(server)
    before = len(log())
    assert status(address, "hung-up") is None
    assert status(address, "ok") == 200
    assert log()[before:] == ""


def test_no_error_is_a_hang_up() -> None:
    """The classes that servers take for a client that went away are no bases of ours."""
    hang_ups = (BrokenPipeError, ConnectionAbortedError, ConnectionResetError)
    assert not any(isinstance(error, hang_ups) for error in RAISED.values())
