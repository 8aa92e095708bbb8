"""What the requests drop-in does at its seams, where the pools below have no say."""

from __future__ import annotations

import pickle
import traceback
from typing import TYPE_CHECKING, Any

import pytest
import requests as native
import urllib3
from requests.adapters import HTTPAdapter as NativeAdapter
from urllib3.util.retry import Retry

import tieline
from tests.dropins.http import server as http
from tests.dropins.http.server import Server
from tieline import requests
from tieline.policy.defaults import HTTP_CONNECT, HTTP_READ
from tieline.requests.adapters import HTTPAdapter
from tieline.testing import FaultServer, ManualClock, RecordingListener
from tieline.testing.faults import Refuse
from tieline.urllib3 import _span

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "q7Zr0bX2kV9d"


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that says ok."""
    with Server() as server:
        yield server


@pytest.fixture
def refusing() -> Iterator[str]:
    """The URL of a port on which nobody listens."""
    with FaultServer(Refuse()) as closed, ManualClock():
        yield f"http://127.0.0.1:{closed.port}/x"


@pytest.fixture
def timings(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float | None, float | None]]:
    """Connect and read timeout of every attempt."""
    seen = []
    begin = _span.Span.__init__

    def noting(span: Any, timing: _span.Timing, *args: Any, **kwargs: Any) -> None:
        seen.append((timing.connect, timing.read))
        begin(span, timing, *args, **kwargs)

    monkeypatch.setattr(_span.Span, "__init__", noting)
    return seen


class Passive(NativeAdapter):
    """An adapter of somebody else, which notes what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.timeouts: list[object] = []

    def send(self, *args: Any, **kwargs: Any) -> native.Response:
        """Note the timeout."""
        self.timeouts.append(kwargs["timeout"])
        return super().send(*args, **kwargs)


DEFAULTS = (HTTP_CONNECT, HTTP_READ)


def test_timeouts(server: Server, timings: list[Any]) -> None:
    """Not given: ours. A number or a pair: that. None, written out: none, also for what follows."""
    session = requests.Session()
    prepared = session.prepare_request(requests.Request("GET", server.url))
    session.get(server.url)
    session.send(prepared)
    requests.get(server.url)
    assert timings == [DEFAULTS] * 3
    timings.clear()
    session.get(server.url, timeout=2)
    session.get(server.url, timeout=(1, 3))
    session.get(server.url, timeout=None)
    session.send(prepared, timeout=None)
    assert timings == [(2, 2), (1, 3), (None, None), (None, None)]


@pytest.mark.parametrize(("given", "wanted"), [({}, DEFAULTS), ({"timeout": None}, (None, None))])
def test_timeouts_of_redirects(given: Any, wanted: Any, timings: list[Any]) -> None:
    """The hops of a redirect have the timeout of the request, given or not."""
    with Server(http.redirect(302, "/y")) as server:
        requests.get(server.url, **given)
    assert timings == [wanted, wanted]


def test_a_native_session_gives_no_timeout(server: Server, timings: list[Any]) -> None:
    """Mounted on requests' own session, where nobody can tell: the defaults."""
    with native.Session() as session:
        session.mount("http://", HTTPAdapter())
        session.get(server.url)
    assert timings == [DEFAULTS]


def test_an_adapter_with_a_timeout_of_its_own(server: Server, timings: list[Any]) -> None:
    """The widespread subclass that fills in a timeout where none was given goes on to do so."""

    class Patient(HTTPAdapter):
        def send(self, request: Any, **kwargs: Any) -> native.Response:  # type: ignore[override]
            if kwargs.get("timeout") is None:
                kwargs["timeout"] = 7
            return super().send(request, **kwargs)

    with requests.Session() as session:
        session.mount("http://", Patient())
        session.get(server.url)
    assert timings == [(7, 7)]


def test_other_peoples_adapters_are_told_what_requests_tells(server: Server) -> None:
    """An adapter that is not ours gets the timeout as it was given, and None where it was not."""
    adapter = Passive()
    with requests.Session() as session:
        session.mount("http://", adapter)
        session.get(server.url)
        session.get(server.url, timeout=3)
    assert adapter.timeouts == [None, 3]


@pytest.mark.parametrize(
    ("given", "attempts"),
    [({}, 3), ({"max_retries": 0}, 1), ({"max_retries": 4}, 5), ({"max_retries": Retry(1)}, 2)],
)
def test_who_decides_how_often(refusing: str, given: Any, attempts: int) -> None:
    """Without `max_retries` the policy; else what was given, a 0 that was written included."""
    with requests.Session() as session:
        session.mount("http://", HTTPAdapter(**given))
        with pytest.raises(tieline.Refused) as caught:
            session.get(refusing)
    assert len(caught.value.attempts) == attempts
    assert isinstance(caught.value, native.ConnectionError)
    assert caught.value.args[0].reason is not None


def test_retries_given_later(refusing: str) -> None:
    """`adapter.max_retries = ...` works as it does natively."""
    with requests.Session() as session:
        session.get_adapter(refusing).max_retries = Retry(1)  # type: ignore[attr-defined]
        with pytest.raises(tieline.Refused) as caught:
            session.get(refusing)
    assert len(caught.value.attempts) == 2


def test_pools_of_the_callers_own(refusing: str, server: Server) -> None:
    """An adapter that makes native pools, as many recipes do, behaves like a native one."""

    class OwnPools(HTTPAdapter):
        def init_poolmanager(self, connections: int, maxsize: int, *_: Any, **__: Any) -> None:
            self.poolmanager = urllib3.PoolManager(num_pools=connections, maxsize=maxsize)

    with requests.Session() as session:
        session.mount("http://", OwnPools())
        assert session.get(server.url).text == "ok"
        with pytest.raises(native.ConnectionError) as caught:
            session.get(refusing)
    assert isinstance(caught.value.args[0], urllib3.exceptions.MaxRetryError)
    assert caught.value.request is not None


def test_settings_survive_pickling(refusing: str) -> None:
    """A session that was pickled keeps its target, policy and who decides how often."""
    policy = tieline.Policy(retry=tieline.Retry(max_attempts=2), breaker=None)
    before = requests.Session(target="billing", policy=policy)
    before.mount("http://other", HTTPAdapter(max_retries=5))
    after = pickle.loads(pickle.dumps(before))  # noqa: S301 - our own
    with pytest.raises(tieline.Refused) as caught:
        after.get(refusing)
    assert (caught.value.target, len(caught.value.attempts)) == ("billing", 2)
    assert after.get_adapter("http://other").max_retries.total == 5


def test_errors_survive_pickling(refusing: str) -> None:
    """An error that was pickled keeps classes, request and history."""
    with pytest.raises(tieline.Refused) as caught:
        requests.get(refusing)
    error = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own
    assert isinstance(error, (tieline.Refused, native.ConnectionError))
    assert error.request.url == refusing
    assert error.attempts == caught.value.attempts


def test_an_open_breaker(refusing: str) -> None:
    """A call that is not made is `CircuitOpen`, a requests.ConnectionError, and has its request."""
    policy = tieline.Policy(
        retry=tieline.Retry(max_attempts=1), breaker=tieline.CircuitBreaker(failures=1)
    )
    with requests.Session(policy=policy) as session:
        with pytest.raises(tieline.Refused):
            session.get(refusing)
        with pytest.raises(tieline.CircuitOpen) as caught:
            session.get(refusing)
    assert isinstance(caught.value, native.ConnectionError)
    assert caught.value.request is not None
    assert caught.value.request.url == refusing
    assert caught.value.response is None


def test_one_error_a_call(refusing: str) -> None:
    """Requests over urllib3 counts each attempt once, and the call fails once."""
    with RecordingListener() as heard, pytest.raises(tieline.Refused):
        requests.get(refusing)
    assert len(heard.of(tieline.events.AttemptFailed)) == 3
    assert len(heard.of(tieline.events.CallFailed)) == 1


def test_a_reset_is_not_taken_for_a_client_that_hung_up(server: Server) -> None:
    """Requests' errors are OSErrors: a WSGI server must not find ECONNRESET in their errno."""
    server.then(http.resets())
    with pytest.raises(tieline.Reset) as caught:
        requests.post(server.url, data=b"x")
    assert isinstance(caught.value, OSError)
    assert caught.value.errno is None
    assert caught.value.failure is not None
    assert caught.value.failure.code == "ECONNRESET"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (f"no-scheme/x?token={SECRET}", native.exceptions.MissingSchema),
        (f"ftp://example.test/x?token={SECRET}", native.exceptions.InvalidSchema),
        (f"http://user:{SECRET}@[bad/x", native.exceptions.InvalidURL),
    ],
)
def test_bad_urls_keep_their_secrets(url: str, expected: type[Exception]) -> None:
    """Errors of requests itself about a URL stay its own, without what is secret in it."""
    with pytest.raises(expected) as caught:
        requests.get(url)
    shown = "".join(traceback.format_exception_only(caught.value))
    assert SECRET not in shown
    assert SECRET not in str(caught.value.args)


def test_a_status_keeps_its_secrets() -> None:
    """`raise_for_status` says where, without the values of the query; the URL stays what it was."""
    with Server(http.answer(404)) as server:
        response = requests.get(f"{server.url}?token={SECRET}&page=")
    with pytest.raises(native.HTTPError) as caught:
        response.raise_for_status()
    assert SECRET not in str(caught.value)
    assert "404 Client Error" in str(caught.value)
    assert "token=***" in str(caught.value)
    assert caught.value.response.url.endswith(f"?token={SECRET}&page=")


def test_a_body_that_breaks_off_tells_its_request() -> None:
    """Where requests leaves the request out, ours has it: out of content and out of a stream."""
    broken = http.says(http.head(200, {"Content-Length": "9"}) + b"four")
    with Server(broken, broken, broken) as server:
        with pytest.raises(tieline.BadAnswer) as caught:
            requests.post(server.url)
        assert isinstance(caught.value, native.exceptions.ChunkedEncodingError)
        assert caught.value.request is not None
        response = requests.get(server.url, stream=True)
        with pytest.raises(tieline.BadAnswer) as caught:
            list(response.iter_content(2))
        assert caught.value.request is response.request


def test_a_stream_that_is_left_gives_its_connection_back(server: Server) -> None:
    """Closing a response in the middle of its body closes what reads it, too."""
    with requests.Session() as session, session.get(server.url, stream=True) as response:
        chunks = response.iter_content(1)
        assert next(chunks) == b"o"
    chunks.close()  # type: ignore[attr-defined]
    assert list(chunks) == []


def test_a_body_that_is_gone_is_requests_own_error() -> None:
    """A generator that would have to be sent again, to where the server redirects: requests' class."""
    with Server(http.redirect(307, "/y")) as server:
        with pytest.raises(native.exceptions.UnrewindableBodyError) as caught:
            requests.post(server.url, data=iter([b"once"]))
        assert [request.path for request in server.requests] == ["/x"]
    assert caught.value.request is not None


def test_what_was_sent_before_a_redirect_counts(server: Server) -> None:
    """A POST that was redirected to a dead port is not repeated there: it had been sent."""
    with FaultServer(Refuse()) as dead:
        server.then(http.redirect(307, f"http://127.0.0.1:{dead.port}/y"))
        with pytest.raises(tieline.Refused) as caught:
            requests.post(server.url, data=b"x")
    assert len(caught.value.attempts) == 1
    assert len(server.requests) == 1


def test_a_hooks_own_request_is_none_that_was_redirected(refusing: str, server: Server) -> None:
    """A request made by a hook while a redirect is followed stands for itself."""
    attempts: list[int] = []
    other = requests.Session(policy=tieline.Policy(breaker=None))

    def hook(*_: Any, **__: Any) -> None:
        with pytest.raises(tieline.Refused) as caught:
            other.post(refusing, data=b"x")
        attempts.append(len(caught.value.attempts))

    server.then(http.redirect(302, "/y"))
    requests.get(server.url, hooks={"response": hook})
    assert attempts == [3, 3]


def test_a_send_in_between_is_called_as_a_session_calls_it(server: Server) -> None:
    """A mixin or a patch with `send(self, request, **kwargs)` works beneath ours as it does natively."""
    seen: dict[str, Any] = {}

    class Between(NativeAdapter):
        def send(self, request: Any, **kwargs: Any) -> native.Response:  # type: ignore[override]
            seen.update(kwargs)
            return super().send(request, **kwargs)

    class Mine(HTTPAdapter, Between):
        pass

    with requests.Session() as session:
        session.mount("http://", Mine())
        assert session.get(server.url, timeout=3).ok
    assert set(seen) == {"stream", "timeout", "verify", "cert", "proxies"}
    assert (seen["timeout"], seen["stream"]) == (3, False)


@pytest.mark.parametrize("given", [{"timeout": 60}, {"timeout": None}])
def test_settings_that_say_nothing_of_time(
    server: Server, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any]
) -> None:
    """Whoever sets how often, in code or in the environment, has not shortened a timeout."""
    twice = tieline.Policy(retry=tieline.Retry(max_attempts=2))
    monkeypatch.setenv("TIELINE_RETRY__MAX_ATTEMPTS", "2")
    seen = []
    begin = _span.Span.__init__

    def noting(span: Any, timing: _span.Timing, *args: Any, **kwargs: Any) -> None:
        seen.append((timing.call, timing.allowed))
        begin(span, timing, *args, **kwargs)

    monkeypatch.setattr(_span.Span, "__init__", noting)
    for session in (requests.Session(), requests.Session(policy=twice)):
        session.get(server.url, **given)
    wanted = None if given["timeout"] is None else 120
    assert seen == [(wanted, wanted)] * 2


def test_redirects_followed_by_hand_have_a_timeout(timings: list[Any]) -> None:
    """`resolve_redirects` called without a timeout: none was given, so there are the defaults."""
    with Server(http.redirect(302, "/y")) as server:
        session = requests.Session()
        response = session.get(server.url, allow_redirects=False)
        timings.clear()
        assert next(session.resolve_redirects(response, response.request)).ok
    assert timings == [DEFAULTS]


def test_a_bad_header_keeps_its_value() -> None:
    """Requests' own error about a header names it, and not its value."""
    with pytest.raises(native.exceptions.InvalidHeader) as caught:
        requests.get("http://127.0.0.1:1/x", headers={"Authorization": f"Bearer {SECRET}\nx: y"})
    assert SECRET not in "".join(traceback.format_exception_only(caught.value))
    assert "header value" in str(caught.value)
