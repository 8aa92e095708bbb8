"""Hint key -> what to look at, in one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

HINTS: Final[Mapping[str, str]] = {
    "refused": (
        "the host is up and nothing listens on that port: is the server running, the port right, "
        "and does it listen on this address (in a container, localhost is the container itself)?"
    ),
    "no-route": "no route to the host: is the address right, and the network or VPN up?",
    "no-socket": "no such Unix socket: is the server running, and does it use this directory?",
    "not-permitted": "this machine's firewall or the socket's permissions forbid the connection",
    "local-resources": (
        "this machine has run out of descriptors, ports or memory: look for connections that "
        "are never closed"
    ),
    "silent": "nothing answers: a firewall that drops, a host that is down, or an overloaded one",
    "cut": (
        "something accepted and then cut the connection: a server that crashes or is not up yet "
        "behind a proxy or a published port, which accept for dead servers"
    ),
    "no-name": "the name does not exist or has no address: is it spelt right, and known here?",
    "resolver": "the name service did not answer; it may in a moment",
    "certificate": "the server's certificate is not trusted, expired, or made out to another name",
    "tls": "the two sides agree on no TLS: does the server speak it on this port?",
    "no-tls": "the server offers no TLS, and sslmode asks for it",
    "server-gone": "the server or a pooler before it closed the connection",
    "not-postgres": "something other than PostgreSQL answers on this port",
    "login": "the server answered, so address and network are right; the credentials are not",
    "no-password": "the server asks for a password and none was given",
    "no-database": "the server answered, and has no database of that name",
    "startup-settings": "the server rejects a setting in the connection's options",
    "own-settings": "a connection parameter has a value that libpq does not accept",
    "server-resources": "the server is out of disk, memory or another resource",
    "server-fault": "an internal error of the server; its log tells more",
    "too-many-connections": (
        "all connection slots are taken: look for pools that are too large, or put a pooler "
        "before the server"
    ),
    "server-stopping": "an administrator stops the server or ended this connection",
    "server-crashed": "a server process crashed, and all connections were cut",
    "server-starting": "the server is starting up, shutting down or in recovery",
    "idle-timeout": "the server ended a session that was idle for longer than it allows",
    "transaction-timeout": "the server ended a transaction that ran for longer than it allows",
    "read-only": "this server is a standby now: after a failover, connect again",
    "role": "the server has another role than target_session_attrs asks for",
    "serialization": "the transaction was rolled back and may be repeated as a whole",
    "proxy": (
        "it is the proxy that cannot be had, not the server behind it: look at the proxy's "
        "address (HTTP_PROXY, HTTPS_PROXY, NO_PROXY, or the one given to the client)"
    ),
    "proxy-login": "the proxy asks for credentials, or does not accept those it was given",
    "proxy-refuses": "the proxy answered, and opens no way to this server",
    "client-key": "the client's own key is encrypted, and no password was given for it",
    "fingerprint": "the certificate is another one than assert_fingerprint asks for",
    "not-http": "something other than an HTTP server answers on this port, or one behind TLS",
    "truncated": "the answer ended too early: a server or proxy that crashed or was stopped",
    "reused": "an idle connection was closed by the other side just as it was used again",
    "throttled": "the server asks for fewer requests; Retry-After tells when it has room",
    "gateway": "the server is overloaded, restarting, or unreachable for the gateway before it",
    "slow-request": "the server gave up waiting for the rest of the request",
    "unsupported": "the server does not know this method",
    "redirects": "the server redirects more often than the client follows",
    "no-path": "the server answered, and has nothing at that path",
    "no-upgrade": (
        "the server answered the opening like an ordinary request: is this host and path meant "
        "for WebSockets?"
    ),
    "not-websocket": "something answers on this port that does not speak WebSocket",
    "peer-objects": "the other side ended the connection because of what it was sent",
    "bad-frame": "what came was no WebSocket frame, or larger than this client takes",
    "closed": "the other side ended the connection in order, and for good",
    "going-away": "the server restarts, or sends its clients elsewhere",
    "application-close": (
        "the application on the other side ended the connection with a code of its own: its "
        "documentation tells what it means"
    ),
    "ping": "a ping was not answered in time: the other side hangs, or the network is gone",
    "full-pool": (
        "every connection of the pool is in use: read or close responses, or raise maxsize"
    ),
    "breaker": "recent calls failed, so this one was not made; it passes by itself",
    "unhealthy": (
        "its health checks fail, so this call was not made: look at the service and at its checks"
    ),
    "deadline": "the caller's time was up; the server may be slow, or the deadline short",
    "outcome": (
        "the statement was handed over and no answer came: look whether it was applied "
        "before doing it again"
    ),
}
