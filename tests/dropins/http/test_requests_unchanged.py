"""What applications rely on in requests: each test is run on requests itself and on ours."""

from __future__ import annotations

import base64
import copy
import gzip
import hashlib
import io
import json
import pickle
import re
import threading
import zlib
from http.cookiejar import CookieJar
from typing import TYPE_CHECKING, Any

import pytest
import requests as native

from tests.dropins.http import server as http
from tests.dropins.http.certificates import context
from tests.dropins.http.server import Exchange, Server
from tieline import requests as ours

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.parametrize("module", [native, ours], ids=["native", "ours"])


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that says ok."""
    with Server() as server:
        yield server


def test_module_functions(module: Any, server: Server) -> None:
    """Get and its sisters, with their methods."""
    for name in ("get", "options", "head", "post", "put", "patch", "delete"):
        assert getattr(module, name)(server.url).status_code == 200
    assert module.request("REPORT", server.url).ok
    methods = [request.method for request in server.requests]
    assert methods == ["GET", "OPTIONS", "HEAD", "POST", "PUT", "PATCH", "DELETE", "REPORT"]


def test_parameters(module: Any, server: Server) -> None:
    """params, data, json and headers arrive as they should."""
    module.get(server.url, params={"a": [1, 2], "b": "c d"}, headers={"X-Own": "1"})
    module.post(server.url, data={"a": "1", "b": ["2", "3"]})
    module.post(server.url, json={"a": [1, None]})
    first, second, third = server.requests
    assert first.path == "/x?a=1&a=2&b=c+d"
    assert first.headers["x-own"] == "1"
    assert second.body == b"a=1&b=2&b=3"
    assert second.headers["content-type"] == "application/x-www-form-urlencoded"
    assert json.loads(third.body) == {"a": [1, None]}


def test_default_headers(module: Any, server: Server) -> None:
    """User-Agent and the others are requests' own, in their order."""
    module.get(server.url)
    (request,) = server.requests
    assert request.headers["user-agent"] == f"python-requests/{native.__version__}"
    assert list(request.headers) == [
        "host",
        "user-agent",
        "accept-encoding",
        "accept",
        "connection",
    ]


def test_multipart(module: Any, server: Server) -> None:
    """Files go as multipart/form-data."""
    files = {"file": ("name.txt", io.BytesIO(b"content"), "text/plain")}
    module.post(server.url, files=files, data={"field": "value"})
    (request,) = server.requests
    assert request.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert b'name="field"\r\n\r\nvalue' in request.body
    assert b'filename="name.txt"\r\nContent-Type: text/plain\r\n\r\ncontent' in request.body


def test_chunked_upload(module: Any, server: Server) -> None:
    """A generator goes in chunks."""
    module.post(server.url, data=iter([b"one", b"two"]))
    (request,) = server.requests
    assert request.headers["transfer-encoding"] == "chunked"
    assert request.body == b"onetwo"


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_decompression(module: Any, encoding: str) -> None:
    """Bodies are decompressed, whole and in pieces; .raw is not."""
    plain = b"text " * 1000
    packed = gzip.compress(plain, mtime=0) if encoding == "gzip" else zlib.compress(plain)
    with Server(otherwise=http.answer(200, packed, {"Content-Encoding": encoding})) as server:
        assert module.get(server.url).content == plain
        pieces = module.get(server.url, stream=True).iter_content(100)
        assert b"".join(pieces) == plain
        assert module.get(server.url, stream=True).raw.read() == packed
        assert module.get(server.url, stream=True).raw.read(decode_content=True) == plain


def test_chunked_answers(module: Any) -> None:
    """Chunked bodies are put together; chunk_size=None gives them as they come."""
    body = b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
    with Server(
        otherwise=http.says(http.head(200, {"Transfer-Encoding": "chunked"}) + body)
    ) as server:
        assert module.get(server.url).content == b"onetwo"
        with module.get(server.url, stream=True) as response:
            assert list(response.iter_content(None)) == [b"one", b"two"]


def test_lines_and_text(module: Any) -> None:
    """iter_lines, encoding, text and json."""
    content = "grün\nblau".encode("latin-1")
    kind = {"Content-Type": "text/plain; charset=latin-1"}
    with Server(http.answer(200, content, kind), http.answer(200, b'{"a": 1}')) as server:
        with module.get(server.url, stream=True) as response:
            assert list(response.iter_lines(decode_unicode=True)) == ["grün", "blau"]
        response = module.get(server.url)
        assert response.json() == {"a": 1}
        with pytest.raises(module.exceptions.JSONDecodeError):
            module.get(server.url).json()


def test_cookies(module: Any) -> None:
    """Cookies are kept by a session, sent back by path, and of one request if so given."""
    cookie = http.answer(200, b"", {"Set-Cookie": "a=1; Path=/"})
    with Server(cookie) as server, module.Session() as session:
        assert session.get(server.url).cookies["a"] == "1"
        session.get(server.url, cookies={"b": "2"})
        session.get(server.url)
        assert session.cookies.get_dict() == {"a": "1"}
        assert isinstance(session.cookies, CookieJar)
    sent = [request.headers.get("cookie") for request in server.requests]
    assert sent == [None, "a=1; b=2", "a=1"]


def test_cookies_of_a_redirect(module: Any) -> None:
    """A cookie that comes with a redirect is sent to the next hop."""
    redirect = http.answer(302, b"", {"Location": "/y", "Set-Cookie": "a=1"})
    with Server(redirect) as server, module.Session() as session:
        session.get(server.url)
    assert server.requests[1].headers["cookie"] == "a=1"


def test_basic_authentication(module: Any, server: Server) -> None:
    """A pair, a URL with credentials, and an object of one's own."""
    expected = "Basic " + base64.b64encode(b"user:pass word").decode()
    module.get(server.url, auth=("user", "pass word"))
    module.get(server.url.replace("//", "//user:pass%20word@"))

    class Own(module.auth.AuthBase):
        def __call__(self, request: Any) -> Any:
            request.headers["Authorization"] = "Own"
            return request

    module.get(server.url, auth=Own())
    sent = [request.headers["authorization"] for request in server.requests]
    assert sent == [expected, expected, "Own"]


def test_digest_authentication(module: Any) -> None:
    """The challenge is answered on the second request, and the response has a history."""
    challenge = 'Digest realm="r", nonce="n", qop="auth", algorithm=MD5'
    refusal = http.answer(401, b"", {"WWW-Authenticate": challenge})
    with Server(refusal) as server, module.Session() as session:
        response = session.post(
            server.url, data=b"payload", auth=module.auth.HTTPDigestAuth("user", "pass")
        )
    assert response.status_code == 200
    assert [each.status_code for each in response.history] == [401]
    first, second = server.requests
    assert "authorization" not in first.headers
    assert [first.body, second.body] == [b"payload", b"payload"]
    sent = dict(re.findall(r'(\w+)="?([^",]+)"?', second.headers["authorization"]))

    def md5(text: str) -> str:
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

    expected = md5(f"{md5('user:r:pass')}:n:{sent['nc']}:{sent['cnonce']}:auth:{md5('POST:/x')}")
    assert sent["response"] == expected
    assert server.accepted == 1


def test_redirect_history(module: Any) -> None:
    """history, url, is_redirect, next and allow_redirects."""
    with Server(http.redirect(302, "/a"), http.redirect(301, "/b")) as server:
        response = module.get(server.url)
        assert [each.status_code for each in response.history] == [302, 301]
        assert response.url == server.url.replace("/x", "/b")
        assert response.history[1].url == server.url.replace("/x", "/a")
        server.then(http.redirect(302, "/c"))
        response = module.get(server.url, allow_redirects=False)
        assert response.is_redirect
        assert response.next.url == server.url.replace("/x", "/c")


def test_credentials_stay_on_their_host(module: Any) -> None:
    """A redirect to another host takes no Authorization header along."""
    with (
        Server() as there,
        Server(http.redirect(302, there.url.replace("127.0.0.1", "localhost"))) as here,
    ):
        module.get(here.url, auth=("user", "pass"))
    assert "authorization" in here.requests[0].headers
    assert "authorization" not in there.requests[0].headers


def test_too_many_redirects(module: Any) -> None:
    """max_redirects is kept, and the error has the last response."""
    with Server(otherwise=http.redirect(302, "/x")) as server, module.Session() as session:
        session.max_redirects = 3
        with pytest.raises(native.exceptions.TooManyRedirects) as caught:
            session.get(server.url)
        assert caught.value.response.status_code == 302
    assert len(server.requests) == 4


def test_hooks(module: Any, server: Server) -> None:
    """Hooks of a session and of a request see the response and may replace it."""
    seen = []
    with module.Session() as session:
        session.hooks["response"].append(lambda response, **_: seen.append(response.status_code))
        assert session.get(server.url).status_code == 200
    other = native.Response()
    other._content = b"replaced"  # noqa: SLF001 - as hooks do it
    own = {"response": lambda *_args, **_kwargs: other}
    assert module.get(server.url, hooks=own) is other
    assert seen == [200]


def test_prepared_requests(module: Any, server: Server) -> None:
    """Prepared by hand, changed, and sent."""
    with module.Session() as session:
        session.headers["X-Session"] = "1"
        prepared = session.prepare_request(module.Request("POST", server.url, data=b"first"))
        prepared.body = b"second"
        prepared.headers["Content-Length"] = "6"
        settings = session.merge_environment_settings(prepared.url, {}, None, None, None)
        response = session.send(prepared, timeout=3, **settings)
        assert response.request is prepared
    bare = module.Request("GET", server.url).prepare()
    with module.Session() as session:
        session.send(bare)
    first, second = server.requests
    assert (first.body, first.headers["x-session"]) == (b"second", "1")
    assert "user-agent" not in second.headers or second.headers["user-agent"]


def test_environment(
    module: Any, server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """.netrc is read, unless trust_env is off or other credentials are given."""
    path = tmp_path / "netrc"
    path.write_text("machine 127.0.0.1 login user password pass\n")
    path.chmod(0o600)
    monkeypatch.setenv("NETRC", str(path))
    module.get(server.url)
    with module.Session() as session:
        session.trust_env = False
        session.get(server.url)
    sent = [request.headers.get("authorization") for request in server.requests]
    assert sent == ["Basic " + base64.b64encode(b"user:pass").decode(), None]


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_certificates_of_the_environment(
    module: Any, variable: str, monkeypatch: pytest.MonkeyPatch, ca: str
) -> None:
    """A bundle from the environment is trusted; without it the certificate is unknown."""
    with Server(tls=context()) as server:
        with pytest.raises(native.exceptions.SSLError):
            module.get(server.url)
        monkeypatch.setenv(variable, ca)
        assert module.get(server.url).ok


def test_verify(module: Any, ca: str) -> None:
    """Verify takes a path, of the session too; False trusts anybody, with urllib3's warning."""
    with Server(tls=context("other-name")) as server:
        with pytest.raises(native.exceptions.SSLError):
            module.get(server.url, verify=ca)
        with pytest.warns(Warning, match="Unverified HTTPS request"):
            assert module.get(server.url, verify=False).ok


def test_streaming(module: Any) -> None:
    """A streamed body is read when it is asked for, and its connection goes back then."""
    with Server(otherwise=http.answer(200, b"x" * 100_000)) as server, module.Session() as session:
        with session.get(server.url, stream=True) as response:
            assert response.raw.read(10) == b"x" * 10
            assert len(response.content) == 100_000 - 10
        session.get(server.url)
        assert server.accepted == 1
        # One that is closed before its end costs its connection.
        session.get(server.url, stream=True).close()
        session.get(server.url)
        assert server.accepted == 2


def test_raw_is_a_urllib3_response(module: Any, server: Server) -> None:
    """`response.raw` is what people expect: version, headers, status, closed, release_conn."""
    import urllib3

    with module.Session() as session, session.get(server.url, stream=True) as response:
        raw = response.raw
        assert isinstance(raw, urllib3.response.HTTPResponse)
        assert (raw.version, raw.status, raw.reason) == (11, 200, "Whatever")
        assert raw.headers["content-length"] == "2"
        # http.cookiejar and many a library look there.
        assert raw._original_response.msg["Content-Length"] == "2"  # noqa: SLF001
        assert not raw.closed
        assert io.BufferedReader(raw).read() == b"ok"


def test_elapsed_and_connection(module: Any, server: Server) -> None:
    """elapsed, reason, encoding, request and connection are there."""
    with module.Session() as session:
        response = session.get(server.url)
        assert response.elapsed.total_seconds() > 0
        assert response.reason == "Whatever"
        assert isinstance(response.connection, module.adapters.HTTPAdapter)
        assert response.request.url == server.url


def test_a_response_can_be_pickled(module: Any, server: Server) -> None:
    """As natively: with its content and history."""
    response = module.get(server.url)
    again = pickle.loads(pickle.dumps(response))  # noqa: S301 - our own bytes
    assert (again.status_code, again.content, again.url) == (200, b"ok", server.url)


def test_a_session_can_be_pickled(module: Any, server: Server) -> None:
    """Headers, cookies, authentication and adapters survive, and it works."""
    session = module.Session()
    session.headers["X-Own"] = "1"
    session.cookies.set("a", "1")
    session.mount("http://127", module.adapters.HTTPAdapter(max_retries=3, pool_maxsize=7))
    thawed = pickle.loads(pickle.dumps(session))  # noqa: S301 - our own bytes
    for again in (thawed, copy.deepcopy(session)):
        assert type(again) is type(session)
        assert again.cookies["a"] == "1"
        adapter = again.get_adapter(server.url)
        assert adapter.max_retries.total == 3
        assert adapter._pool_maxsize == 7  # noqa: SLF001 - one of its __attrs__
        assert again.get(server.url).ok
    assert {request.headers["x-own"] for request in server.requests} == {"1"}


def test_threads_share_a_session(module: Any) -> None:
    """Eight threads use one session."""
    with Server() as server, module.Session() as session:
        results: list[int] = []

        def work() -> None:
            results.extend(session.get(server.url).status_code for _ in range(10))

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == [200] * 80
        assert server.accepted <= 8


def test_subclassing_a_session(module: Any, server: Server) -> None:
    """Overridden request and send, and an __init__ without arguments, work as natively."""

    class Session(module.Session):
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[str] = []

        def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
            self.seen.append(method)
            kwargs.setdefault("timeout", 3)
            return super().request(method, self.base + url, *args, **kwargs)

        def send(self, request: Any, **kwargs: Any) -> Any:
            self.seen.append(request.path_url)
            return super().send(request, **kwargs)

        base = server.url.removesuffix("/x")

    with Session() as session:
        assert session.get("/y").ok
        assert session.seen == ["GET", "/y"]


def test_subclassing_an_adapter(module: Any, server: Server) -> None:
    """The famous TimeoutHTTPAdapter, and one with pool arguments of its own."""

    class TimeoutHTTPAdapter(module.adapters.HTTPAdapter):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self.timeout = kwargs.pop("timeout", 5)
            super().__init__(*args, **kwargs)

        def send(self, request: Any, **kwargs: Any) -> Any:
            if kwargs.get("timeout") is None:
                kwargs["timeout"] = self.timeout
            return super().send(request, **kwargs)

        def init_poolmanager(
            self, connections: int, maxsize: int, block: bool = False, **kwargs: Any
        ) -> None:
            kwargs["socket_options"] = []
            super().init_poolmanager(connections, maxsize, block=block, **kwargs)

    with module.Session() as session:
        session.mount("http://", TimeoutHTTPAdapter(timeout=2.5))
        assert session.get(server.url).ok
        pool = session.get_adapter(server.url).poolmanager
        assert pool.connection_pool_kw["socket_options"] == []


def test_get_connection_hook(module: Any, server: Server) -> None:
    """get_connection_with_tls_context and build_response may be overridden."""
    seen = []

    class Adapter(module.adapters.HTTPAdapter):
        def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
            seen.append("connection")
            return super().get_connection_with_tls_context(*args, **kwargs)

        def build_response(self, *args: Any, **kwargs: Any) -> Any:
            seen.append("response")
            response = super().build_response(*args, **kwargs)
            response.own = True
            return response

        def add_headers(self, request: Any, **kwargs: Any) -> None:
            request.headers["X-Adapter"] = "1"

    with module.Session() as session:
        session.mount("http://", Adapter())
        assert session.get(server.url).own
    assert seen == ["connection", "response"]
    assert server.requests[0].headers["x-adapter"] == "1"


class Elsewhere(native.adapters.BaseAdapter):
    """A third party's adapter that knows no sockets."""

    def send(self, request: Any, **kwargs: Any) -> Any:
        """Answer from memory, or fail as told."""
        if "fail" in request.url:
            raise native.exceptions.ConnectionError("own failure", request=request)
        response = native.Response()
        response.status_code = 200
        response.url = request.url
        response.request = request
        response.raw = io.BytesIO(b"memory")
        return response

    def close(self) -> None:
        """Nothing to close."""


def test_a_third_party_adapter(module: Any) -> None:
    """Mounted over ours it is used, and what it raises comes out as it is."""
    with module.Session() as session:
        session.mount("memory://", Elsewhere())
        assert session.get("memory://x").content == b"memory"
        with pytest.raises(native.exceptions.ConnectionError, match="own failure") as caught:
            session.get("memory://fail")
        assert type(caught.value) is native.exceptions.ConnectionError


def test_a_native_adapter(module: Any, server: Server) -> None:
    """Requests' own adapter mounted on a session works as it always did."""
    with module.Session() as session:
        session.mount("http://", native.adapters.HTTPAdapter())
        assert session.get(server.url).ok


def test_longest_prefix(module: Any) -> None:
    """Adapters are asked by the longest prefix first."""
    with module.Session() as session:
        adapter = module.adapters.HTTPAdapter()
        session.mount("http://example.test/deep", adapter)
        assert session.get_adapter("http://example.test/deep/er") is adapter
        assert session.get_adapter("http://example.test/") is not adapter
        assert list(session.adapters) == ["http://example.test/deep", "https://", "http://"]


def test_exceptions_are_the_same(module: Any) -> None:
    """The classes to catch are requests' own."""
    assert module.exceptions.ConnectionError is native.exceptions.ConnectionError
    assert module.ConnectTimeout is native.ConnectTimeout
    assert module.RequestException is native.RequestException
    assert issubclass(module.Session, native.Session)
    assert issubclass(module.adapters.HTTPAdapter, native.adapters.HTTPAdapter)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://", "InvalidURL"),
        ("example.test/x", "MissingSchema"),
        ("gopher://example.test", "InvalidSchema"),
        ("http://*example.test", "InvalidURL"),
        ("http://.example.test", "InvalidURL"),
        ("http://example.test:port/", "InvalidURL"),
    ],
)
def test_bad_urls(module: Any, url: str, name: str) -> None:
    """A URL that makes no sense is refused by the same class."""
    with pytest.raises(getattr(native.exceptions, name)):
        module.get(url)


def test_a_closed_session_works_again(module: Any, server: Server) -> None:
    """A session that was closed opens new connections, as natively."""
    session = module.Session()
    session.get(server.url)
    session.close()
    assert session.get(server.url).ok
    session.close()
    assert server.accepted == 2


def test_session_function(module: Any, server: Server) -> None:
    """requests.session() makes a Session."""
    with module.session() as session:
        assert isinstance(session, module.Session)
        assert session.get(server.url).ok


def test_timeout_classes(module: Any) -> None:
    """A read that takes too long is a ReadTimeout, a Timeout, and has the request."""
    with Server(otherwise=http.stalls()) as server, pytest.raises(native.ReadTimeout) as caught:
        module.post(server.url, timeout=(3, 0.1))
    assert isinstance(caught.value, native.Timeout)
    assert caught.value.request.method == "POST"
    assert caught.value.response is None


@pytest.mark.parametrize("timeout", ["3", (1, 2, 3), (1,), -1])
def test_bad_timeouts(module: Any, server: Server, timeout: Any) -> None:
    """A timeout that is none is refused by the same class."""
    with pytest.raises(ValueError):
        module.get(server.url, timeout=timeout)


def test_expect_and_early_answers(module: Any) -> None:
    """100 Continue before the answer proper is skipped."""

    def reply(exchange: Exchange) -> bool:
        exchange.read()
        exchange.send(
            b"HTTP/1.1 100 Continue\r\n\r\n" + http.head(200, {"Content-Length": "2"}) + b"ok"
        )
        return True

    with Server(reply) as server:
        assert module.post(server.url, data=b"x").content == b"ok"


@pytest.mark.parametrize("status", [204, 304])
def test_answers_without_a_body(module: Any, status: int) -> None:
    """204 and 304 have none, and the connection is kept."""

    def reply(exchange: Exchange) -> bool:
        exchange.read()
        exchange.send(http.head(status))
        return True

    with Server(otherwise=reply) as server, module.Session() as session:
        for _ in range(2):
            assert session.get(server.url).content == b""
        assert server.accepted == 1
