"""What applications rely on in urllib3: each test is run on urllib3 itself and on ours."""

from __future__ import annotations

import gzip
import io
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
import urllib3 as native

from tests.dropins.http import server as http
from tests.dropins.http.certificates import context
from tests.dropins.http.server import Server
from tieline import urllib3 as ours
from tieline.testing import ManualClock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.parametrize("module", [native, ours], ids=["native", "ours"])


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that says ok."""
    with Server() as server:
        yield server


def test_request_function(module: Any, server: Server) -> None:
    """urllib3.request with fields, json, body and headers."""
    assert module.request("GET", server.url, fields={"a": "1"}).data == b"ok"
    assert module.request("POST", server.url, json={"a": 1}).status == 200
    assert module.request("POST", server.url, body=b"raw", headers={"X-Own": "1"}).status == 200
    module.request("POST", server.url, fields={"a": ("name.txt", b"content")})
    first, second, third, fourth = server.requests
    assert first.path == "/x?a=1"
    assert json.loads(second.body) == {"a": 1}
    assert second.headers["content-type"] == "application/json"
    assert (third.body, third.headers["x-own"]) == (b"raw", "1")
    assert b'filename="name.txt"' in fourth.body


def test_default_headers(module: Any, server: Server) -> None:
    """They are urllib3's own."""
    with module.PoolManager() as manager:
        manager.request("GET", server.url)
    assert list(server.requests[0].headers) == ["host", "user-agent"] or list(
        server.requests[0].headers
    ) == ["host", "accept-encoding", "user-agent"]
    assert server.requests[0].headers["user-agent"] == f"python-urllib3/{native.__version__}"


def test_pool_manager_arguments(module: Any, server: Server) -> None:
    """The constructor takes what people give it."""
    with module.PoolManager(
        num_pools=3,
        headers={"X-Own": "1"},
        maxsize=2,
        block=True,
        timeout=module.Timeout(connect=2, read=3),
        retries=module.Retry(2),
        cert_reqs="CERT_REQUIRED",
        socket_options=[],
        source_address=("127.0.0.1", 0),
        blocksize=4096,
    ) as manager:
        response = manager.request("GET", server.url)
        assert response.status == 200
        pool = manager.connection_from_url(server.url)
        assert isinstance(pool, module.HTTPConnectionPool)
        assert isinstance(pool, native.HTTPConnectionPool)
        assert pool.pool.maxsize == 2
        assert pool.block
        assert pool.retries.total == 2
        assert manager.connection_from_host(server.host, server.port, "http") is pool
        assert (pool.num_connections, pool.num_requests) == (1, 1)
    assert server.requests[0].headers["x-own"] == "1"


def test_pools_are_let_go(module: Any) -> None:
    """Beyond num_pools the one used longest ago is closed."""
    with module.PoolManager(num_pools=1) as manager, Server() as first, Server() as second:
        manager.request("GET", first.url)
        manager.request("GET", second.url)
        assert len(manager.pools) == 1
        manager.request("GET", first.url)
    assert (first.accepted, second.accepted) == (2, 1)


def test_pools_on_their_own(module: Any, server: Server) -> None:
    """HTTPConnectionPool and connection_from_url, with relative URLs."""
    with module.HTTPConnectionPool(server.host, server.port, maxsize=1) as pool:
        assert pool.request("GET", "/a").data == b"ok"
        assert pool.urlopen("GET", "/b").data == b"ok"
    with module.connection_from_url(server.url) as pool:
        assert pool.request("GET", "/c").data == b"ok"
        with pytest.raises(native.exceptions.HostChangedError):
            pool.request("GET", "http://other.test/")
    with pytest.raises(native.exceptions.ClosedPoolError):
        pool.request("GET", "/d")
    assert [request.path for request in server.requests] == ["/a", "/b", "/c"]


def test_https_pools(module: Any, ca: str) -> None:
    """HTTPSConnectionPool with ca_certs, ssl_context, assert_hostname and fingerprint."""
    import hashlib
    import ssl

    with Server(tls=context()) as server:
        with module.HTTPSConnectionPool(server.host, server.port, ca_certs=ca) as pool:
            assert pool.request("GET", "/a").data == b"ok"
        trusting = ssl.create_default_context(cafile=ca)
        with module.PoolManager(ssl_context=trusting) as manager:
            assert manager.request("GET", server.url).data == b"ok"
        der = ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate((server.host, server.port)))
        fingerprint = hashlib.sha256(der).hexdigest()
        with module.PoolManager(cert_reqs="CERT_NONE", assert_fingerprint=fingerprint) as manager:
            assert manager.request("GET", server.url).data == b"ok"
        with (
            module.PoolManager(cert_reqs="CERT_NONE", assert_fingerprint="0" * 64) as manager,
            pytest.raises(native.exceptions.MaxRetryError),
        ):
            manager.request("GET", server.url, retries=0)


def test_server_names(module: Any, ca: str) -> None:
    """server_hostname and assert_hostname let an address stand for a name."""
    with Server(tls=context("other-name")) as server:
        for name in ("assert_hostname", "server_hostname"):
            with module.PoolManager(ca_certs=ca, **{name: "other.example"}) as manager:
                assert manager.request("GET", server.url).data == b"ok"


def test_streaming(module: Any) -> None:
    """preload_content=False, stream, read, release_conn and drain_conn."""
    with Server(otherwise=http.answer(200, b"x" * 100_000)) as server, module.PoolManager() as manager:
        response = manager.request("GET", server.url, preload_content=False)
        assert response.read(10) == b"x" * 10
        assert sum(len(piece) for piece in response.stream(1000)) == 100_000 - 10
        response.release_conn()
        response = manager.request("GET", server.url, preload_content=False)
        response.drain_conn()
        manager.request("GET", server.url)
        assert server.accepted == 1
        manager.request("GET", server.url, preload_content=False).close()
        manager.request("GET", server.url)
        assert server.accepted == 2


def test_a_response_is_a_file(module: Any) -> None:
    """It can be wrapped by io, iterated, and read into a buffer."""
    with Server(otherwise=http.answer(200, b"one\ntwo\n")) as server, module.PoolManager() as manager:
        response = manager.request("GET", server.url, preload_content=False)
        assert isinstance(response, native.HTTPResponse)
        response.auto_close = False
        assert list(io.TextIOWrapper(response)) == ["one\n", "two\n"]
        response = manager.request("GET", server.url, preload_content=False)
        assert list(response) == [b"one\n", b"two\n"]
        response = manager.request("GET", server.url, preload_content=False)
        buffer = bytearray(3)
        assert response.readinto(buffer) == 3
        assert buffer == b"one"
        response.release_conn()


def test_decoding(module: Any) -> None:
    """gzip is decoded unless it is not wanted."""
    packed = gzip.compress(b"text", mtime=0)
    kind = {"Content-Encoding": "gzip"}
    with Server(otherwise=http.answer(200, packed, kind)) as server, module.PoolManager() as manager:
        assert manager.request("GET", server.url).data == b"text"
        assert manager.request("GET", server.url, decode_content=False).data == packed


def test_chunks(module: Any) -> None:
    """Chunked uploads and answers."""
    body = b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
    chunked = http.says(http.head(200, {"Transfer-Encoding": "chunked"}) + body)
    with Server(otherwise=chunked) as server, module.PoolManager() as manager:
        response = manager.request("POST", server.url, body=iter([b"a", b"b"]), preload_content=False)
        assert list(response.read_chunked()) == [b"one", b"two"]
        assert manager.request("PUT", server.url, body=b"abc", chunked=True).data == b"onetwo"
    assert [request.headers["transfer-encoding"] for request in server.requests] == ["chunked"] * 2
    assert [request.body for request in server.requests] == [b"ab", b"abc"]


def test_redirects(module: Any) -> None:
    """They are followed, with history, and geturl() tells the end."""
    with Server(http.redirect(302, "/y")) as server, module.PoolManager() as manager:
        response = manager.request("GET", server.url)
        assert response.geturl() == "/y"
        assert [each.status for each in response.retries.history] == [302]
        assert response.retries.redirect is None or response.retries.total is not None


def test_json_and_info(module: Any) -> None:
    """json(), headers, status, reason, version."""
    with Server(http.answer(200, b'{"a": 1}', {"X-Own": "1"})) as server, module.PoolManager() as manager:
        response = manager.request("GET", server.url)
        assert response.json() == {"a": 1}
        assert (response.headers["x-own"], response.reason, response.version) == ("1", "Whatever", 11)


def test_subclassing_a_pool_manager(module: Any, server: Server) -> None:
    """urlopen and connection_from_context may be overridden."""
    seen = []

    class Manager(module.PoolManager):
        def urlopen(self, method: str, url: str, redirect: bool = True, **kwargs: Any) -> Any:
            seen.append(url)
            return super().urlopen(method, url, redirect=redirect, **kwargs)

        def connection_from_context(self, context: dict[str, Any]) -> Any:
            seen.append(context["port"])
            return super().connection_from_context(context)

    with Manager() as manager:
        assert manager.request("GET", server.url).data == b"ok"
    assert seen == [server.url, server.port]


def test_connection_classes_of_ones_own(module: Any, server: Server) -> None:
    """A pool class with a connection class of its own, set on the manager."""
    seen = []

    class Connection(native.connection.HTTPConnection):
        def connect(self) -> None:
            seen.append("connect")
            super().connect()

        def putheader(self, header: str, *values: Any) -> None:
            super().putheader(header, *(values if header != "X-Own" else ("changed",)))

    class Pool(module.HTTPConnectionPool):
        ConnectionCls = Connection

    with module.PoolManager() as manager:
        manager.pool_classes_by_scheme = {"http": Pool, "https": module.HTTPSConnectionPool}
        assert manager.request("GET", server.url, headers={"X-Own": "1"}).data == b"ok"
        assert manager.request("GET", server.url).data == b"ok"
    assert seen == ["connect"]
    assert server.requests[0].headers["x-own"] == "changed"


def test_a_native_pool_class(module: Any, server: Server) -> None:
    """Someone's own subclass of urllib3's own pool class may be set as well."""

    class Pool(native.HTTPConnectionPool):
        pass

    with module.PoolManager() as manager:
        manager.pool_classes_by_scheme = {"http": Pool, "https": Pool}
        assert manager.request("GET", server.url).data == b"ok"
        assert type(manager.connection_from_url(server.url)) is Pool


def test_pool_keys(module: Any, server: Server) -> None:
    """key_fn_by_scheme and pool_kwargs make pools of their own."""
    with module.PoolManager() as manager:
        first = manager.connection_from_url(server.url)
        second = manager.connection_from_url(server.url, pool_kwargs={"timeout": 3})
        assert first is not second
        assert second.timeout.connect_timeout == 3


def test_threads_share_a_manager(module: Any) -> None:
    """Eight threads on two blocking connections."""
    with Server() as server, module.PoolManager(maxsize=2, block=True) as manager:
        results: list[int] = []

        def work() -> None:
            results.extend(manager.request("GET", server.url).status for _ in range(10))

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == [200] * 80
        assert server.accepted <= 2


def test_classes_are_the_same(module: Any) -> None:
    """The exceptions and helpers are urllib3's own."""
    assert module.exceptions.MaxRetryError is native.exceptions.MaxRetryError
    assert (module.Timeout, module.Retry) == (native.Timeout, native.Retry)
    assert issubclass(module.PoolManager, native.PoolManager)
    assert issubclass(module.HTTPSConnectionPool, native.HTTPSConnectionPool)
    assert module.util.retry.Retry is native.Retry


@pytest.mark.parametrize("url", ["http://::1:80:9/", "http://example.test:port/", "http://[::1/"])
def test_bad_urls(module: Any, url: str) -> None:
    """A URL that makes no sense is refused by the same class."""
    with module.PoolManager() as manager, pytest.raises(native.exceptions.LocationParseError):
        manager.request("GET", url)


def test_other_schemes(module: Any) -> None:
    """A scheme without a pool is refused by the same class."""
    with module.PoolManager() as manager, pytest.raises(native.exceptions.URLSchemeUnknown):
        manager.request("GET", "gopher://example.test/")


def test_proxy_from_url(module: Any) -> None:
    """proxy_from_url makes a ProxyManager that forwards."""
    with Server() as proxy, module.proxy_from_url(f"http://127.0.0.1:{proxy.port}") as manager:
        assert isinstance(manager, module.ProxyManager)
        assert manager.request("GET", "http://origin.test/x").data == b"ok"
        assert manager.proxy.port == proxy.port
    assert proxy.requests[0].path == "http://origin.test/x"


def test_make_headers_and_multipart(module: Any, server: Server) -> None:
    """The helpers are there."""
    headers = module.make_headers(basic_auth="user:pass", keep_alive=True)
    body, kind = module.encode_multipart_formdata({"a": "1"})
    with module.PoolManager() as manager:
        manager.request("POST", server.url, body=body, headers=headers | {"Content-Type": kind})
    assert server.requests[0].headers["authorization"].startswith("Basic ")


def test_an_ipv6_literal(module: Any) -> None:
    """Brackets in a URL."""
    with Server(host="::1") as server, module.PoolManager() as manager:
        assert manager.request("GET", server.url).data == b"ok"
        assert server.requests[0].headers["host"] == f"[::1]:{server.port}"


def test_header_parsing(module: Any) -> None:
    """Duplicate and folded headers are given as natively."""
    data = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX: y\r\n z\r\nContent-Length: 0\r\n\r\n"
    with Server(http.says(data)) as server, module.PoolManager() as manager:
        headers = manager.request("GET", server.url).headers
        assert headers.getlist("set-cookie") == ["a=1", "b=2"]
        assert headers["x"].split() == ["y", "z"]


def test_an_exhausted_pool(module: Any) -> None:
    """EmptyPoolError is raised as it is, and is no MaxRetryError, whatever the retries."""
    stalled = http.stalls(http.head(200, {"Content-Length": "9"}))
    for retries in (None, 3, False):
        with (
            Server(stalled) as server,
            module.HTTPConnectionPool(server.host, server.port, maxsize=1, block=True) as pool,
        ):
            held = pool.request("GET", "/x", preload_content=False)
            with pytest.raises(native.exceptions.EmptyPoolError) as caught:
                pool.request("POST", "/x", pool_timeout=0.05, retries=retries)
            assert not isinstance(caught.value, native.exceptions.MaxRetryError)
            assert caught.value.pool is pool
            held.close()
        assert len(server.requests) == 1


def test_retry_after_of_a_redirect(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool follows a redirect that asks for patience after it; a pool manager at once."""
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    later = http.answer(303, b"", {"Location": "/y", "Retry-After": "2"})
    with (
        Server(later) as server,
        module.HTTPConnectionPool(server.host, server.port) as pool,
        ManualClock() as clock,
    ):
        assert pool.request("GET", "/x").status == 200
    assert sum(slept + clock.sleeps) >= 2


def test_pool_keys_are_handed_on_by_keyword(module: Any, server: Server) -> None:
    """connection_from_pool_key may be overridden with urllib3's own signature."""
    seen = []

    class Manager(module.PoolManager):
        def connection_from_pool_key(self, pool_key: Any, *, request_context: Any) -> Any:
            seen.append(request_context["port"])
            return super().connection_from_pool_key(pool_key, request_context=request_context)

    with Manager() as manager:
        assert manager.request("GET", server.url).data == b"ok"
    assert seen == [server.port]


def test_the_reason_of_a_tls_failure_is_told(module: Any, ca: str, tmp_path: Path) -> None:
    """What OpenSSL or urllib3 say of it is part of the message."""
    import trustme

    with (
        Server(tls=context("expired")) as server,
        module.PoolManager(ca_certs=ca, retries=False) as manager,
        pytest.raises(native.exceptions.SSLError, match="certificate has expired"),
    ):
        manager.request("GET", server.url)
    key = tmp_path / "key.pem"
    certificate = trustme.CA().issue_cert("client.test")
    certificate.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    from cryptography.hazmat.primitives import serialization

    plain = serialization.load_pem_private_key(certificate.private_key_pem.bytes(), None)
    key.write_bytes(
        plain.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.BestAvailableEncryption(b"unknown"),
        )
    )
    with (
        Server(tls=context()) as server,
        module.PoolManager(
            ca_certs=ca, cert_file=str(tmp_path / "cert.pem"), key_file=str(key), retries=False
        ) as manager,
        pytest.raises(native.exceptions.SSLError, match="password is required"),
    ):
        manager.request("GET", server.url)


def test_pyopenssl(module: Any, ca: str) -> None:
    """TLS by pyOpenSSL, which applications inject into urllib3, whose sockets are no sockets."""
    from urllib3.contrib import pyopenssl

    pyopenssl.inject_into_urllib3()
    try:
        with (
            Server(tls=context(), otherwise=http.answer(200, b"x" * 100_000)) as server,
            module.PoolManager(ca_certs=ca) as manager,
        ):
            for _ in range(2):
                response = manager.request("POST", server.url, body=b"y" * 100_000)
                assert len(response.data) == 100_000
    finally:
        pyopenssl.extract_from_urllib3()
    assert [len(request.body) for request in server.requests] == [100_000] * 2
