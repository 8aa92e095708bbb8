"""Opening: each way it can fail has one name, whatever the client makes of it."""

from __future__ import annotations

import errno
import gc
import os
import socket
import ssl
import traceback
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import websockets as native
from websockets.exceptions import InvalidMessage, InvalidStatus

import tieline
from tests.dropins.sockets import (
    BRIEF,
    FLAVOURS,
    ONCE,
    answers,
    listens,
    secured,
    sockets,
    stays,
    trusting,
    upgrade,
    uri_of,
)
from tieline.failure import Kind, Phase, Safety
from tieline.testing import FaultServer
from tieline.testing.faults import Fin, Garbage, Refuse, Reset, Silence

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.dropins.sockets import Sockets
    from tieline.testing.faults import Connection, Fault

RACES = 50 if os.environ.get("TIELINE_SOAK") == "1" else 12
"""Runs of what the native client answers with one of several types, by chance."""


@pytest.fixture(params=FLAVOURS)
def client(request: pytest.FixtureRequest) -> Iterator[Sockets]:
    """`tieline.websockets`, for threads and for asyncio."""
    with sockets(request.param) as client:
        yield client


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy comes from the machine that the tests run on."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


def fail(client: Sockets, uri: str, **kwargs: Any) -> tieline.TielineError:
    """The error of one failed attempt."""
    kwargs.setdefault("policy", ONCE)
    with pytest.raises(tieline.TielineError) as caught:
        client.connect(uri, **kwargs)
    return caught.value


def verdict(error: tieline.TielineError) -> tuple[object, ...]:
    """What we say of a failure."""
    assert error.failure is not None
    repeat = error.failure.safety is not Safety.NEVER
    return type(error).__mro__[1].__name__, error.failure.phase, error.failure.kind, repeat


def named(error: tieline.TielineError) -> tuple[object, ...]:
    """The same, where our class needs no native one at its side."""
    assert error.failure is not None
    ours = next(cls for cls in type(error).__mro__ if cls in vars(tieline.errors).values())
    return ours.__name__, error.failure.phase, error.failure.kind, repeats(error)


def repeats(error: tieline.TielineError) -> bool:
    """Whether another attempt may help."""
    assert error.failure is not None
    return error.failure.safety is not Safety.NEVER


def banner(connection: Connection) -> None:
    """A server that speaks first, and another protocol."""
    connection.send(b"SSH-2.0-OpenSSH_9.6\r\n")
    connection.pause()


def bare_101(connection: Connection) -> None:
    """An upgrade without an upgrade."""
    connection.read(16)
    connection.send(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")


def truncated(connection: Connection) -> None:
    """An answer that ends in the middle of its head."""
    connection.read(16)
    connection.send(b"HTTP/1.1 503 Service Unavailable\r\nContent-")


def truncated_body(connection: Connection) -> None:
    """An answer that ends in the middle of its body."""
    connection.read(16)
    connection.send(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 9\r\n\r\nabc")


@dataclass(frozen=True)
class Row:
    """One way to fail, and what is said of it.

    Attributes:
        id: As in the table of failures.
        fault: What the server does.
        ours: Our class.
        phase: How far it had come.
        kind: What happened.
        native: What callers of the native client catch: asyncio's, then that of threads.
        repeat: Whether another attempt may help.
        scheme: Of the URI.
        races: Whether the native client answers by chance.
        policy: The settings.
    """

    id: str
    fault: Fault
    ours: type[tieline.TielineError]
    phase: Phase
    kind: Kind
    native: tuple[type[Exception], ...] = (native.WebSocketException, OSError)
    repeat: bool = True
    scheme: str = "ws"
    races: bool = False
    policy: tieline.Policy = ONCE


TLS, HANDSHAKE, CONNECT = Phase.TLS, Phase.HANDSHAKE, Phase.CONNECT
CERTIFICATE = (tieline.TLSFailed, TLS, Kind.CERTIFICATE, (ssl.SSLCertVerificationError,), False)
HTTP400 = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"

ROWS = [
    Row("refused", Refuse(), tieline.Refused, CONNECT, Kind.REFUSED, (ConnectionRefusedError,)),
    Row("accept-FIN", Fin(), tieline.HandshakeFailed, HANDSHAKE, Kind.EOF, races=True),
    Row("accept-RST", Reset(), tieline.HandshakeFailed, HANDSHAKE, Kind.RESET, races=True),
    Row("read-then-FIN", Fin(after=16), tieline.HandshakeFailed, HANDSHAKE, Kind.EOF, (InvalidMessage,)),
    Row("read-then-RST", Reset(after=16), tieline.HandshakeFailed, HANDSHAKE, Kind.RESET, races=True),
    Row("accept-silence", Silence(), tieline.HandshakeFailed, HANDSHAKE, Kind.TIMEOUT, (TimeoutError,), policy=BRIEF),
    Row("garbage-reply", Garbage(b"\0\xff nonsense\r\n\r\n", after=16), tieline.HandshakeFailed, HANDSHAKE, Kind.PROTOCOL, (InvalidMessage,), repeat=False),
    Row("banner-ssh", banner, tieline.HandshakeFailed, HANDSHAKE, Kind.PROTOCOL, (InvalidMessage, TimeoutError), repeat=False, races=True, policy=BRIEF),
    Row("tls-unknown-ca", secured(stays, "unknown-ca"), *CERTIFICATE, scheme="wss"),
    Row("tls-expired", secured(stays, "expired"), *CERTIFICATE, scheme="wss"),
    Row("tls-wrong-host", secured(stays, "wrong-host"), *CERTIFICATE, scheme="wss"),
    Row("tls-to-plaintext", Silence(), tieline.TLSFailed, TLS, Kind.TIMEOUT, (TimeoutError,), scheme="wss", policy=BRIEF),
    Row("tls-handshake-FIN", Fin(after=8), tieline.TLSFailed, TLS, Kind.EOF, (OSError,), scheme="wss", races=True),
    Row("tls-handshake-RST", Reset(after=8), tieline.TLSFailed, TLS, Kind.RESET, (ConnectionResetError,), scheme="wss", races=True),
    Row("tls-accept-RST", Reset(), tieline.TLSFailed, TLS, Kind.RESET, (ConnectionResetError,), scheme="wss", races=True),
    Row("tls-to-plaintext-http400", Garbage(HTTP400), tieline.TLSFailed, TLS, Kind.TLS, (ssl.SSLError,), repeat=False, scheme="wss"),
    # A server that takes the request for a broken handshake, and leaves it unread.
    Row("plaintext-to-tls", secured(stays), tieline.HandshakeFailed, HANDSHAKE, Kind.RESET, races=True),
    Row("ws-101-no-upgrade", bare_101, tieline.HandshakeFailed, HANDSHAKE, Kind.PROTOCOL, (native.InvalidHandshake,), repeat=False),
    Row("ws-handshake-truncated", truncated, tieline.HandshakeFailed, HANDSHAKE, Kind.EOF, (InvalidMessage,)),
    Row("ws-handshake-body-truncated", truncated_body, tieline.HandshakeFailed, HANDSHAKE, Kind.EOF, (InvalidMessage,)),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_one_name_for_each_failure(client: Sockets, row: Row) -> None:
    """Class, phase and kind are right each time, and the native class is there for who catches it."""
    keywords = {"ssl": trusting()} if row.scheme == "wss" else {}
    runs = RACES if row.races and row.policy is ONCE else 3 if row.races else 1
    expected = (row.ours.__name__, row.phase, row.kind, row.repeat)
    for _ in range(runs):
        tieline.testing.reset_targets()
        with FaultServer(row.fault) as server:
            error = fail(client, uri_of(server, row.scheme), policy=row.policy, **keywords)
        assert named(error) == expected
        assert type(error).__module__ == "tieline"
        assert isinstance(error, row.ours)
        assert isinstance(error, row.native)
        assert error.maybe_applied is False
        assert len(error.attempts) == 1
        assert error.endpoint == (row.scheme, server.host, server.port)
        if row.kind is Kind.RESET and row.scheme == "wss":
            # `ssl.wrap_socket` leaves a socket that was reset meanwhile to the garbage collector.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)
                del error
                gc.collect()


STATUSES = [
    (200, "Declined", Kind.ANSWERED, False),
    (400, "Declined", Kind.ANSWERED, False),
    (401, "AuthenticationFailed", Kind.DENIED, False),
    (403, "AuthenticationFailed", Kind.DENIED, False),
    (404, "TargetNotFound", Kind.NO_TARGET, False),
    (426, "Declined", Kind.ANSWERED, False),
    (429, "TooBusy", Kind.BUSY, True),
    (500, "Declined", Kind.SERVER_ERROR, True),
    (502, "NotReady", Kind.NOT_READY, True),
    (503, "TooBusy", Kind.NOT_READY, True),
    (504, "NotReady", Kind.NOT_READY, True),
]


@pytest.mark.parametrize(("status", "ours", "kind", "repeat"), STATUSES)
def test_a_status_that_is_no_upgrade(
    client: Sockets, status: int, ours: str, kind: Kind, repeat: bool
) -> None:
    """The server answered and would not have us; its answer is there as natively."""
    with FaultServer(answers(status, body="why")) as server:
        error = fail(client, uri_of(server))
    assert named(error) == (ours, HANDSHAKE, kind, repeat)
    assert isinstance(error, tieline.Declined)
    assert isinstance(error, InvalidStatus)
    assert error.response.status_code == status
    assert error.response.body == b"why"
    assert f"({status})" in str(error)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_retry_after_is_waited_for(
    client: Sockets, clock: tieline.testing.ManualClock, status: int
) -> None:
    """A status that may pass is repeated, and never earlier than the server asked."""

    def recovering(connection: Connection) -> None:
        if server.accepted < 3:
            answers(status, "Retry-After: 4\r\n")(connection)
        else:
            stays(connection)

    with FaultServer(recovering) as server, client.connect(uri_of(server)):
        pass
    assert len(clock.sleeps) == 2
    assert min(clock.sleeps) >= 4


@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_waiting_does_not_help_is_not_repeated(
    client: Sockets, clock: tieline.testing.ManualClock, status: int
) -> None:
    """A rejected credential or path is offered once."""
    with FaultServer(answers(status)) as server:
        fail(client, uri_of(server), policy=None)
        assert server.accepted == 1
    assert clock.sleeps == []


def test_a_refused_opening_is_repeated(client: Sockets, clock: tieline.testing.ManualClock) -> None:
    """It succeeds once the server is up, after waits by the policy."""
    with FaultServer(Refuse()) as server:
        clock_sleep = clock.sleep

        def sleep(seconds: float) -> None:
            clock_sleep(seconds)
            if len(clock.sleeps) == 2:
                server.fault = stays

        clock.sleep = sleep  # type: ignore[method-assign]  # the test turns the server on meanwhile
        with client.connect(uri_of(server)) as connection:
            assert connection.protocol.state.name == "OPEN"
    assert len(clock.sleeps) == 2


# --- names, and other ways to a server ------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "kind", "repeat"),
    [
        (socket.EAI_NONAME, Kind.NO_NAME, False),
        (socket.EAI_AGAIN, Kind.RESOLVER, True),
        (socket.EAI_NODATA, Kind.NO_NAME, False),
    ],
)
def test_a_name_that_does_not_resolve(
    client: Sockets, names: dict[str, Any], number: int, kind: Kind, repeat: bool
) -> None:
    """NameNotResolved, with the resolver's number, and asked for again where that may help."""
    names["api.test"] = socket.gaierror(number, "so it is")
    error = fail(client, "ws://api.test/")
    assert named(error) == ("NameNotResolved", Phase.RESOLVE, kind, repeat)
    assert isinstance(error, socket.gaierror)
    assert error.errno == number


def test_a_name_that_cannot_be_one(client: Sockets) -> None:
    """A label of 64 letters is no name, and stays a UnicodeError."""
    error = fail(client, f"ws://{'a' * 64}.test/")
    assert named(error) == ("NameNotResolved", Phase.RESOLVE, Kind.NO_NAME, False)
    assert isinstance(error, UnicodeError)


def test_a_resolver_that_hangs(client: Sockets, names: dict[str, Any]) -> None:
    """The caller leaves at the end of its time; getaddrinfo itself cannot be interrupted."""
    import threading

    gate = threading.Event()

    def hang() -> Exception:
        gate.wait(10)
        return socket.gaierror(socket.EAI_AGAIN, "late")

    names["slow.test"] = hang
    error = fail(client, "ws://slow.test/", policy=BRIEF)
    gate.set()
    assert named(error) == ("NameNotResolved", Phase.RESOLVE, Kind.TIMEOUT, True)
    assert isinstance(error, TimeoutError)


@pytest.mark.parametrize("addresses", [["::1", "127.0.0.1"], ["127.0.0.1", "127.0.0.2"]])
def test_a_refusal_on_each_address(
    client: Sockets, names: dict[str, Any], addresses: list[str]
) -> None:
    """It is Refused with its number, where asyncio has an OSError without one."""
    names["both.test"] = addresses
    with FaultServer(Refuse()) as server:
        error = fail(client, f"ws://both.test:{server.port}/")
    assert named(error) == ("Refused", CONNECT, Kind.REFUSED, True)
    assert isinstance(error, ConnectionRefusedError)
    assert error.errno == 111


def test_a_dead_address_costs_its_share(client: Sockets, names: dict[str, Any]) -> None:
    """The next address is tried within the same attempt, and tried first the next time."""
    with (
        FaultServer(Silence()) as silent,
        FaultServer(stays, host="127.0.0.2", port=silent.port) as server,
    ):
        names["two.test"] = ["127.0.0.1", "127.0.0.2"]
        del silent
        uri = f"ws://two.test:{server.port}/"
        with FaultServer(Refuse(), host="127.0.0.3", port=server.port):
            names["two.test"] = ["127.0.0.3", "127.0.0.2"]
            with client.connect(uri, policy=ONCE) as connection:
                assert connection.remote_address[0] == "127.0.0.2"


def test_refused_on_ipv6(client: Sockets) -> None:
    """An IPv6 address is written as people write it."""
    with FaultServer(Refuse(), host="::1") as server:
        error = fail(client, uri_of(server))
    assert f"[::1]:{server.port}" in str(error)


def test_no_unix_socket(client: Sockets, tmp_path: Path) -> None:
    """A socket that is not there: Unreachable, and worth another attempt."""
    with pytest.raises(tieline.Unreachable) as caught:
        client.unix_connect(path=str(tmp_path / "none"), policy=ONCE)
    assert isinstance(caught.value, FileNotFoundError)
    assert named(caught.value) == ("Unreachable", CONNECT, Kind.UNREACHABLE, True)
    assert str(tmp_path / "none") in str(caught.value)


def test_a_unix_socket_where_nobody_listens(client: Sockets, tmp_path: Path) -> None:
    """Refused, as on TCP."""
    path = str(tmp_path / "dead")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
        with pytest.raises(tieline.Refused):
            client.unix_connect(path=path, policy=ONCE)


def test_a_unix_socket(client: Sockets, tmp_path: Path) -> None:
    """A server on a Unix socket is reached."""
    import threading

    path = str(tmp_path / "live")
    with socket.socket(socket.AF_UNIX) as live:
        live.bind(path)
        live.listen()

        def serve() -> None:
            accepted, _ = live.accept()
            from tieline.testing.faults import Connection as Served

            stays(Served(accepted, threading.Event()))
            accepted.close()

        thread = threading.Thread(target=serve)
        thread.start()
        with client.unix_connect(path=path):
            pass
        thread.join(5)


# --- redirects ------------------------------------------------------------------------------------


def redirects(to: str) -> Fault:
    """Send clients elsewhere."""
    return answers(302, f"Location: {to}\r\n")


def redirecting(client: Sockets) -> None:
    """Skip where the client does not follow."""
    from tieline.websockets._connect import RECONNECTS

    if not client.is_async and not RECONNECTS:
        pytest.skip("this release of websockets follows no redirects in threads")


def test_redirects_keep_working(client: Sockets) -> None:
    """The connection is with the server that the redirect names."""
    redirecting(client)
    with FaultServer(stays) as target, FaultServer(redirects(uri_of(target, path="/new"))) as first:
        with client.connect(uri_of(first)):
            pass
        assert b"GET /new" in target.received[0]


def test_each_attempt_begins_at_the_start(
    client: Sockets, clock: tieline.testing.ManualClock
) -> None:
    """A redirect is for now: the next attempt asks the first server again where to go."""
    redirecting(client)
    with FaultServer(answers(503)) as sick, FaultServer(stays) as well:

        def balance(connection: Connection) -> None:
            redirects(uri_of(sick if first.accepted == 1 else well))(connection)

        with FaultServer(balance) as first, client.connect(uri_of(first)):
            assert first.accepted == 2
    assert len(clock.sleeps) == 1


def test_a_redirect_to_nobody(client: Sockets) -> None:
    """The error names the place where it happened."""
    redirecting(client)
    with FaultServer(Refuse()) as gone, FaultServer(redirects(uri_of(gone))) as first:
        error = fail(client, uri_of(first))
    assert named(error) == ("Refused", CONNECT, Kind.REFUSED, True)
    assert f"refused by 127.0.0.1:{gone.port}" in str(error)
    assert error.endpoint is not None
    assert error.endpoint.port == gone.port


def test_a_redirect_loop(client: Sockets) -> None:
    """More than ten redirects are a refusal of the server's, and not followed again."""
    redirecting(client)
    with FaultServer(redirects("/again")) as server:
        error = fail(client, uri_of(server), policy=None)
        assert server.accepted == 10
    assert named(error)[0] == "Declined"
    assert isinstance(error, native.SecurityError)
    assert not repeats(error)


# --- proxies --------------------------------------------------------------------------------------


def test_a_refused_proxy_is_said_to_be_the_proxy(
    client: Sockets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who reads that the server refused looks in the wrong place; no credentials are shown."""
    with FaultServer(Refuse()) as proxy:
        monkeypatch.setenv("http_proxy", f"http://me:hush@{proxy.host}:{proxy.port}")
        error = fail(client, "ws://api.example/")
    assert isinstance(error, ConnectionRefusedError)
    assert f"refused by the proxy {proxy.host}:{proxy.port}" in str(error)
    assert error.failure is not None
    assert error.failure.hint == "proxy"
    shown = "\n".join([str(error), repr(error), *error.__notes__])
    assert "hush" not in shown
    assert "api.example" in error.target


def test_a_proxy_that_declines(client: Sockets) -> None:
    """Its status counts as its own; that of a server behind it does not."""
    with FaultServer(answers(503)) as proxy:
        error = fail(client, "ws://api.example/", proxy=f"http://{proxy.host}:{proxy.port}")
    assert named(error)[1:] == (HANDSHAKE, Kind.NOT_READY, True)
    assert isinstance(error, native.InvalidProxyStatus)
    assert f"the proxy {proxy.host}:{proxy.port}" in str(error)


def test_a_silent_proxy(client: Sockets) -> None:
    """It accepted, and said nothing."""
    with FaultServer(Silence()) as proxy:
        error = fail(
            client, "ws://api.example/", proxy=f"http://{proxy.host}:{proxy.port}", policy=BRIEF
        )
    assert named(error) == ("HandshakeFailed", HANDSHAKE, Kind.TIMEOUT, True)
    assert isinstance(error, TimeoutError)
    assert "the proxy" in str(error)


def tunnels(then: Fault) -> Fault:
    """A proxy that opens the way."""

    def fault(connection: Connection) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += connection.read(1)
        connection.send(b"HTTP/1.1 200 OK\r\n\r\n")
        then(connection)

    return fault


def test_behind_a_proxy_it_is_the_server(client: Sockets) -> None:
    """Once the tunnel is there, what fails is the server."""
    with FaultServer(tunnels(answers(401))) as proxy:
        error = fail(client, "ws://api.example/", proxy=f"http://{proxy.host}:{proxy.port}")
    assert named(error)[0] == "AuthenticationFailed"
    assert "the proxy" not in str(error)
    with FaultServer(tunnels(stays)) as proxy:
        address = f"http://{proxy.host}:{proxy.port}"
        with client.connect("ws://api.example/", proxy=address):
            pass


def test_the_environment_names_the_proxy(client: Sockets, monkeypatch: pytest.MonkeyPatch) -> None:
    """`http_proxy` is used by default, and `proxy=None` goes without."""
    with FaultServer(tunnels(stays)) as proxy, FaultServer(stays) as server:
        monkeypatch.setenv("http_proxy", f"http://{proxy.host}:{proxy.port}")
        with client.connect(uri_of(server)):
            assert (proxy.accepted, server.accepted) == (1, 0)
        with client.connect(uri_of(server), proxy=None):
            server.wait_accepted(1)
            assert proxy.accepted == 1


@pytest.mark.parametrize("proxy", ["ftp://me:hush@proxy.example", "http://me:hush@proxy.example/x"])
def test_a_proxy_that_makes_no_sense(client: Sockets, proxy: str) -> None:
    """It is a ConfigError and websockets' own, with nothing of the address in it."""
    with pytest.raises(tieline.ConfigError) as caught:
        client.connect("ws://api.example/", proxy=proxy)
    assert isinstance(caught.value, native.InvalidProxy)
    assert caught.value.proxy == proxy
    assert (
        "hush"
        not in f"{caught.value}{caught.value!r}{caught.value.__cause__}{caught.value.__context__}"
    )


# --- settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "uri",
    ["http://me:hush@x/", "ws://", "ws://me:hush@x/#y", "ws://me:hush@x:port/", "nonsense hush"],
)
def test_a_uri_that_makes_no_sense(client: Sockets, uri: str) -> None:
    """It ends at once, as a ConfigError and an InvalidURI, with nothing of the URI in it."""
    with pytest.raises(tieline.ConfigError) as caught:
        client.connect(uri)
    error = caught.value
    assert isinstance(error, native.InvalidURI)
    assert error.uri == uri
    assert "hush" not in f"{error}{error!r}{error.__cause__}{error.__context__}"


def test_a_keyword_that_there_is_none(client: Sockets) -> None:
    """As natively: a TypeError that names it, from whoever is handed it on."""
    with FaultServer(stays) as server, pytest.raises(TypeError, match="no_such_thing"):
        client.connect(uri_of(server), no_such_thing=1)


def test_neither_uri_nor_target(client: Sockets) -> None:
    """As natively: a TypeError that names the argument."""
    with pytest.raises(TypeError, match="uri"):
        client.connect()


def test_no_secret_in_an_error(client: Sockets) -> None:
    """A token in the URI is in no text of the error, and in none of its causes."""
    with FaultServer(answers(403)) as server:
        error = fail(client, f"ws://me:hush@{server.host}:{server.port}/?token=hush")
    shown: list[object] = [str(error), repr(error), *error.__notes__, error.target, error.endpoint]
    cause: BaseException | None = error
    while cause is not None:
        shown += [str(cause), repr(cause)]
        cause = cause.__cause__ or cause.__context__
    assert "hush" not in "".join(map(str, shown))


@pytest.mark.parametrize(
    "location",
    [
        "https://login.example/?token=hush",
        "ws://x:hush/",
        "ws://[hush/",
        "ws://me:hush@127.0.0.1:1/?token=hush",
    ],
)
def test_no_secret_of_a_redirect_in_an_error(client: Sockets, location: str) -> None:
    """What a server sends us to may hold a token, which logins put there."""
    redirecting(client)
    with FaultServer(redirects(location)) as server:
        error = fail(client, uri_of(server), policy=ONCE)
    assert "hush" not in everything(error)


def test_no_secret_header_in_an_error(client: Sockets) -> None:
    """Nor is the value of a header that cannot be sent."""
    # In pieces: a traceback shows the line.
    headers = {"Authorization": "hu" + "sh\n"}
    with FaultServer(stays) as server, pytest.raises(native.InvalidHeaderValue) as caught:
        client.connect(uri_of(server), additional_headers=headers)
    assert "hush" not in everything(caught.value)


def test_no_secret_in_what_is_given() -> None:
    """Debuggers and reports of crashes show the values of variables."""
    from tieline.websockets._given import given

    assert "hush" not in repr(given("ws://me:hush@api.example/?token=hush", None, None, {}))


def everything(error: BaseException) -> str:
    """All texts of an error, its causes and its context."""
    texts = ["".join(traceback.format_exception(error))]
    waiting: list[BaseException | None] = [error]
    while waiting:
        part = waiting.pop()
        if part is not None:
            texts += [str(part), *getattr(part, "__notes__", [])]
            waiting += [part.__cause__, part.__context__]
    return "".join(texts)


def test_the_environment_names_the_server(client: Sockets, monkeypatch: pytest.MonkeyPatch) -> None:
    """`connect(target="ticks")`: URI, headers and policy come from the environment."""
    with FaultServer(stays) as server:
        monkeypatch.setenv("TIELINE_TARGETS__TICKS__URL", uri_of(server, path="/ticks"))
        monkeypatch.setenv("TIELINE_TARGETS__TICKS__HEADERS__AUTHORIZATION", "Bearer hush")
        with client.connect(target="ticks") as connection:
            assert connection.request.path == "/ticks"
        assert b"authorization: bearer hush" in server.received[0].lower()


def test_no_url_in_the_environment(client: Sockets) -> None:
    """The error names the variable that is missing."""
    with pytest.raises(
        tieline.ConfigError, match="TIELINE_TARGETS__TICKS__URL is not set"
    ) as caught:
        client.connect(target="ticks")
    assert isinstance(caught.value, native.InvalidURI)


@pytest.mark.parametrize("enabled", ["1", "0"])
def test_secret_headers_go_to_their_own_server_alone(
    client: Sockets, monkeypatch: pytest.MonkeyPatch, enabled: str
) -> None:
    """Not to another URI given in code, and not along a redirect; switched off, too."""
    monkeypatch.setenv("TIELINE_ENABLED", enabled)
    with FaultServer(stays) as other, FaultServer(redirects(uri_of(other))) as server:
        monkeypatch.setenv("TIELINE_TARGETS__TICKS__URL", uri_of(server))
        monkeypatch.setenv("TIELINE_TARGETS__TICKS__HEADERS__X_KEY", "hush")
        with client.connect(uri_of(other), target="ticks"):
            pass
        assert b"hush" not in other.received[0]
        redirecting(client)
        with client.connect(target="ticks"):
            pass
        assert b"hush" in server.received[0]
        assert b"hush" not in other.received[1]


def test_switched_off(client: Sockets, monkeypatch: pytest.MonkeyPatch) -> None:
    """`TIELINE_ENABLED=0`: the native client, its classes and its errors."""
    monkeypatch.setenv("TIELINE_ENABLED", "0")
    with FaultServer(stays) as server:
        with client.connect(uri_of(server)) as connection:
            assert type(connection.connection).__module__.startswith("websockets")
        server.fault = Refuse()
        with pytest.raises(OSError, match="Connect") as caught:
            client.connect(uri_of(server))
    assert not isinstance(caught.value, tieline.TielineError)


def test_open_timeout_is_the_time_of_an_attempt(client: Sockets) -> None:
    """It wins over the policy's, and None means no limit."""
    with FaultServer(Silence()) as server:
        error = fail(client, uri_of(server), open_timeout=0.2)
    assert error.elapsed is not None
    assert 0.15 < error.elapsed < 5


def test_a_deadline_ends_an_opening(client: Sockets) -> None:
    """All attempts and waits together, and the error is a TimeoutError."""
    with (
        FaultServer(Silence()) as server,
        tieline.deadline(0.2),
        pytest.raises(tieline.DeadlineExceeded) as caught,
    ):
        client.connect(uri_of(server), policy=None)
    assert isinstance(caught.value, TimeoutError)
    assert isinstance(caught.value, native.WebSocketException | OSError)


def test_an_open_breaker_declines(client: Sockets, clock: tieline.testing.ManualClock) -> None:
    """Five refusals, and the sixth opening is not tried."""
    with FaultServer(Refuse()) as server:
        for _ in range(5):
            fail(client, uri_of(server))
        error = fail(client, uri_of(server))
    assert isinstance(error, tieline.CircuitOpen)
    assert isinstance(error, native.WebSocketException)
    assert error.retry_after is not None


@pytest.mark.parametrize("native_kind", ["subclass", "native-subclass", "function"])
def test_connections_of_the_callers_own_class(client: Sockets, native_kind: str) -> None:
    """A subclass of ours or of websockets' own, or a function: it is used, and errors are ours."""
    import websockets.asyncio.client
    import websockets.sync.client

    module = websockets.asyncio.client if client.is_async else websockets.sync.client
    base = (
        client.module.ClientConnection
        if native_kind != "native-subclass"
        else module.ClientConnection
    )

    class Mine(base):  # type: ignore[misc,valid-type]  # of either flavour
        made = True

    def make(*args: Any, **kwargs: Any) -> Any:
        return Mine(*args, **kwargs)

    def drop(connection: Connection) -> None:
        upgrade(connection)
        connection.reset()

    chosen = make if native_kind == "function" else Mine
    with (
        FaultServer(drop) as server,
        client.connect(uri_of(server), create_connection=chosen) as connection,
    ):
        assert isinstance(connection.connection, Mine)
        with pytest.raises(tieline.Reset):
            connection.recv()


def boom(*_args: Any, **_kwargs: Any) -> Any:
    """A factory that cannot make a connection."""
    raise OSError(errno.EMFILE, "of the factory")


@pytest.mark.parametrize(
    ("keywords", "error"),
    [
        ({"additional_headers": {"A": "x\ny"}}, native.InvalidHeaderValue),
        ({"create_connection": boom}, OSError),
        ({"subprotocols": ["b"]}, native.NegotiationError),
    ],
)
def test_an_error_of_the_callers_own(
    client: Sockets, keywords: dict[str, Any], error: type[Exception]
) -> None:
    """It passes as it is, and says nothing about the server: the breaker does not hear of it."""
    if client.is_async and "create_connection" in keywords:
        pytest.skip("asyncio itself leaves the socket open when a factory raises")

    def another(connection: Connection) -> None:
        upgrade(connection, "Sec-WebSocket-Protocol: zzz\r\n")
        listens(connection)

    policy = tieline.Policy(breaker=tieline.CircuitBreaker(failures=1))
    with FaultServer(another if "subprotocols" in keywords else stays) as server:
        for _ in range(2):
            with pytest.raises(error) as caught:
                client.connect(uri_of(server), policy=policy, **keywords)
            assert not isinstance(caught.value, tieline.TielineError)
        server.fault = stays
        with client.connect(uri_of(server), policy=policy):
            pass


def test_a_header_of_a_target_that_is_none(
    client: Sockets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that HTTP has not is an error of the settings, and its value is not shown."""
    monkeypatch.setenv("TIELINE_TARGETS__TICKS__URL", "ws://127.0.0.1:1/")
    monkeypatch.setenv("TIELINE_TARGETS__TICKS__HEADERS__X KEY", "hush")
    with pytest.raises(tieline.ConfigError, match="X Key") as caught:
        client.connect(target="ticks")
    assert "hush" not in "".join(traceback.format_exception(caught.value))


def test_simulated_failures(client: Sockets, clock: tieline.testing.ManualClock) -> None:
    """`simulate` makes openings fail as told, without any server."""
    from tieline import websockets

    with FaultServer(stays) as server:
        refused = tieline.testing.simulate(websockets, tieline.Refused, times=2)
        with refused, client.connect(uri_of(server)):
            pass
        assert len(clock.sleeps) == 2
        busy = tieline.testing.simulate(websockets, tieline.TooBusy)
        with busy, pytest.raises(tieline.TooBusy):
            client.connect(uri_of(server))
