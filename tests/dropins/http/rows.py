"""How a server or the way to it can fail: what the clients raise alone, and what has to come of it.

One row a failure. The native classes were measured; `test_rows.py` measures them again.
"""

from __future__ import annotations

import errno
import socket
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from tests.dropins.http import server as http
from tests.dropins.http.certificates import context
from tests.dropins.http.server import Server
from tieline.failure import Kind, Phase
from tieline.testing import FaultServer
from tieline.testing.faults import Fin, Garbage, Refuse, Reset, Silence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tieline.testing.faults import Fault

PARTIAL = b"partial"
HEAD_100 = http.head(200, {"Content-Length": "100"})
HEAD_CHUNKED = http.head(200, {"Transfer-Encoding": "chunked"})
CHUNK = b"20\r\n" + PARTIAL
BIG = b"x" * 16_000_000
BANNER = b"SSH-2.0-OpenSSH_9.2\r\n"


@dataclass
class Place:
    """Where a failure waits, and what the other side saw of the requests.

    Attributes:
        url: What to ask for.
        begun: How many requests came so far, in whole or in part; right once the place is closed.
        port: The port that the error has to name; None if it is not told.
        options: For the request.
        proxy: URL of a proxy to use.
    """

    url: str
    begun: Callable[[], int] = lambda: 0
    port: int | None = None
    options: dict[str, Any] = field(default_factory=dict)
    proxy: str | None = None


@dataclass(frozen=True)
class Row:
    """One failure.

    Attributes:
        name: What happens.
        place: Makes it happen; takes the names that resolve as told.
        requests: What requests raises.
        urllib3: What urllib3 raises when its three retries are used up.
        raw: What urllib3 raises with ``retries=False``.
        ours: Our class.
        phase: How far the attempt had come.
        kind: What happened.
        repeat: What may be repeated: everything, what is idempotent, or nothing.
        reached: Whether the other side got something of the request.
        errno: The error number.
        body: Whether it happens in the body: requests reads it after the call proper.
        payload: A body to send, where it matters.
    """

    name: str
    place: Callable[[dict[str, Any]], Any]
    requests: str
    urllib3: str
    raw: str
    ours: str
    phase: Phase
    kind: Kind
    repeat: Literal["always", "idempotent", "never"]
    reached: bool = False
    errno: int | None = None
    body: bool = False
    payload: bytes | None = None

    def native(self, client: str, *, retryable: bool) -> str:
        """The class that a client raises natively.

        Args:
            client: Which one.
            retryable: Whether urllib3 takes the method for one that may be retried.
        """
        if client == "requests":
            return f"requests.exceptions.{self.requests}"
        # urllib3 takes these two, and no others, for failures after the request was sent.
        after_sending = self.raw in {"ProtocolError", "ReadTimeoutError"}
        raw = client == "urllib3-raw" or (after_sending and not retryable)
        return f"urllib3.exceptions.{self.raw if raw else self.urllib3}"

    def tries(self, client: str, *, idempotent: bool, most: int) -> int:
        """How often ours tries.

        Args:
            client: Which one.
            idempotent: Whether repeating is known to do no harm.
            most: How often it would at most.
        """
        if client == "urllib3-raw" or self.repeat == "never":
            return 1
        if self.repeat == "always":
            return most
        if self.body and client == "requests":
            return 1
        return most if idempotent else 1


Names = dict[str, Any]


def refuses(*hosts: str, name: str | None = None) -> Callable[[Names], Any]:
    """Nobody listens at these addresses of one name."""

    @contextmanager
    def place(names: Names) -> Iterator[Place]:
        first, *others = hosts
        with FaultServer(Refuse(), host=first) as nobody:
            more = [FaultServer(Refuse(), host=host, port=nobody.port) for host in others]
            host = name or (f"[{first}]" if ":" in first else first)
            if name:
                names[name] = list(hosts)
            try:
                yield Place(f"http://{host}:{nobody.port}/x", port=nobody.port)
            finally:
                for server in more:
                    server.close()

    return place


def unresolved(name: str, error: int | None) -> Callable[[Names], Any]:
    """The resolver answers with an error."""

    @contextmanager
    def place(names: Names) -> Iterator[Place]:
        if error is not None:
            names[name] = lambda: socket.gaierror(error, "as the test says")
        yield Place(f"http://{name}:9/x", port=None if error is None else 9)

    return place


def accepts(
    fault: Fault, *, scheme: str = "http", read: bool = True, **options: Any
) -> Callable[[Names], Any]:
    """A connection is accepted, and this is done with it."""

    @contextmanager
    def place(_: Names) -> Iterator[Place]:
        with FaultServer(fault) as server:
            yield Place(
                f"{scheme}://127.0.0.1:{server.port}/x",
                lambda: sum(b"HTTP/1.1\r\n" in each for each in server.received),
                port=server.port,
                options=options,
            )

    return place


def serves(
    reply: http.Reply, *, certificate: str | None = None, **options: Any
) -> Callable[[Names], Any]:
    """A request is read, and this is replied."""

    @contextmanager
    def place(_: Names) -> Iterator[Place]:
        tls = context(certificate) if certificate else None
        with Server(otherwise=reply, tls=tls) as server:
            yield Place(server.url, lambda: server.begun, port=server.port, options=options)

    return place


def proxied(
    fault: Fault | None, *, scheme: str = "http", **options: Any
) -> Callable[[Names], Any]:
    """The proxy does this with the connection; None refuses it."""

    @contextmanager
    def place(_: Names) -> Iterator[Place]:
        with Server() as origin, FaultServer(fault or Refuse()) as proxy:
            yield Place(
                origin.url.replace("http:", f"{scheme}:"),
                lambda: origin.begun,
                port=proxy.port,
                options=options,
                proxy=f"http://user:secret@127.0.0.1:{proxy.port}",
            )

    return place


def tunnel_refused(connection: Any) -> None:
    """A proxy that answers CONNECT with 503."""
    while b"\r\n\r\n" not in connection.received:
        connection.read(1)
    connection.send(http.head(503, {"Content-Length": "0"}))


def tunnel_silent(connection: Any) -> None:
    """A proxy that reads CONNECT and never answers."""
    while b"\r\n\r\n" not in connection.received:
        connection.read(1)
    connection.pause()


SHORT = {"timeout": 0.1}

# fmt: off
_refused = dict(
    requests="ConnectionError", urllib3="MaxRetryError", raw="NewConnectionError",
    ours="Refused", phase=Phase.CONNECT, kind=Kind.REFUSED, repeat="always",
    errno=errno.ECONNREFUSED,
)
_no_name = dict(
    requests="ConnectionError", urllib3="MaxRetryError", raw="NameResolutionError",
    ours="NameNotResolved", phase=Phase.RESOLVE, kind=Kind.NO_NAME, repeat="never",
)
_certificate = dict(
    requests="SSLError", urllib3="MaxRetryError", raw="SSLError",
    ours="TLSFailed", phase=Phase.TLS, kind=Kind.CERTIFICATE, repeat="never",
)
_handshake_timeout = dict(
    requests="ReadTimeout", urllib3="MaxRetryError", raw="ReadTimeoutError",
    ours="TLSFailed", phase=Phase.TLS, kind=Kind.TIMEOUT, repeat="always",
)
_lost = dict(
    requests="ConnectionError", urllib3="MaxRetryError", raw="ProtocolError",
    phase=Phase.RECEIVE, repeat="idempotent", reached=True,
)
_body = dict(
    requests="ChunkedEncodingError", urllib3="MaxRetryError", raw="ProtocolError",
    phase=Phase.RECEIVE, repeat="idempotent", reached=True, body=True,
)
_proxy = dict(
    requests="ProxyError", urllib3="MaxRetryError", raw="ProxyError", repeat="always",
)

ROWS: tuple[Row, ...] = (
    Row("refused-ipv4", refuses("127.0.0.1"), **_refused),
    Row("refused-ipv6", refuses("::1"), **_refused),
    Row("refused-localhost-dual", refuses("::1", "127.0.0.1", name="localhost"), **_refused),
    Row("refused-dns-two-A", refuses("127.0.0.1", "127.0.0.2", name="two.test"), **_refused),
    Row("dns-nxdomain", unresolved("nosuch.invalid", socket.EAI_NONAME), **_no_name),
    Row("dns-nodata", unresolved("nodata.test", socket.EAI_NODATA), **_no_name),
    Row("dns-silent", unresolved("silent.test", socket.EAI_AGAIN),
        **(_no_name | dict(kind=Kind.RESOLVER, repeat="always"))),
    Row("accept-FIN", accepts(Fin()), ours="Aborted", kind=Kind.EOF, **_lost),
    Row("read-then-FIN", accepts(Fin(after=20)), ours="Aborted", kind=Kind.EOF, **_lost),
    Row("read-then-RST", serves(http.resets()), ours="Reset", kind=Kind.RESET,
        errno=errno.ECONNRESET, **_lost),
    Row("accept-silence", serves(http.stalls(), **SHORT), ours="ResponseTimeout",
        kind=Kind.TIMEOUT, **(_lost | dict(requests="ReadTimeout", raw="ReadTimeoutError"))),
    Row("garbage-reply", accepts(Garbage(b"\x00\x01garbage not http at all\r\n", after=20)),
        ours="BadAnswer", kind=Kind.PROTOCOL, **(_lost | dict(repeat="never"))),
    Row("banner-ssh", accepts(Garbage(BANNER)),
        ours="BadAnswer", kind=Kind.PROTOCOL, **(_lost | dict(repeat="never"))),
    Row("http-client-to-postgres-port", accepts(Fin(after=8)), ours="Aborted", kind=Kind.EOF,
        **_lost),
    Row("plaintext-to-tls", serves(http.resets()), ours="Reset", kind=Kind.RESET,
        errno=errno.ECONNRESET, **_lost),
    Row("tls-unknown-ca", serves(http.answer(), certificate="unknown-ca"), **_certificate),
    Row("tls-expired", serves(http.answer(), certificate="expired"), **_certificate),
    Row("tls-wrong-host", serves(http.answer(), certificate="other-name"), **_certificate),
    Row("tls-to-plaintext", accepts(Silence(), scheme="https", **SHORT), **_handshake_timeout),
    Row("tls-handshake-silence", accepts(Silence(), scheme="https", **SHORT),
        **_handshake_timeout),
    Row("tls-to-plaintext-http400", accepts(Garbage(http.head(400), after=5), scheme="https"),
        **(_certificate | dict(kind=Kind.TLS))),
    Row("tls-handshake-FIN", accepts(Fin(after=5), scheme="https"),
        **(_certificate | dict(kind=Kind.EOF, repeat="always"))),
    Row("tls-corrupt-after-request", serves(http.corrupts(), certificate="good"),
        requests="SSLError", urllib3="MaxRetryError", raw="SSLError", ours="ConnectionLost",
        phase=Phase.RECEIVE, kind=Kind.TLS, repeat="idempotent", reached=True),
    Row("body-FIN-content-length", serves(http.says(HEAD_100 + PARTIAL)), ours="BadAnswer",
        kind=Kind.PROTOCOL, **_body),
    Row("body-RST-content-length", serves(http.resets(HEAD_100 + PARTIAL)), ours="Reset",
        kind=Kind.RESET, errno=errno.ECONNRESET, **_body),
    Row("body-silence", serves(http.stalls(HEAD_100 + PARTIAL), **SHORT), ours="ResponseTimeout",
        kind=Kind.TIMEOUT, **(_body | dict(requests="ConnectionError", raw="ReadTimeoutError"))),
    Row("body-FIN-chunked", serves(http.says(HEAD_CHUNKED + CHUNK)), ours="BadAnswer",
        kind=Kind.PROTOCOL, **_body),
    Row("body-RST-chunked", serves(http.resets(HEAD_CHUNKED + CHUNK)), ours="Reset",
        kind=Kind.RESET, errno=errno.ECONNRESET, **_body),
    Row("send-big-server-not-reading", serves(http.stalls(read=False), timeout=0.2),
        ours="ResponseTimeout", payload=BIG, **(_lost | dict(kind=Kind.TIMEOUT, phase=Phase.SEND))),
    Row("proxy-refused-http", proxied(None), **(_refused | _proxy)),
    Row("proxy-refused-https", proxied(None, scheme="https"), **(_refused | _proxy)),
)
# fmt: on
