"""A Retry that the caller gives keeps its meaning: as many requests, and the same end."""

from __future__ import annotations

import traceback
from typing import Any
from urllib.parse import urlsplit

import pytest
import urllib3 as native_urllib3
from urllib3.util import Retry

import tieline
from tests.dropins.http import server as http
from tests.dropins.http.certificates import context
from tests.dropins.http.clients import Client
from tests.dropins.http.server import Server
from tests.dropins.http.test_deadlines import full
from tests.dropins.http.told import outcome, raised
from tieline import urllib3
from tieline.testing import FaultServer, ManualClock
from tieline.testing.faults import Refuse

CUT = http.cut()
DOWN = http.answer(503, b"no")
BROKEN = http.answer(500, b"no")

CASES: dict[str, tuple[str, Any, http.Reply]] = {
    "3, cut": ("GET", 3, CUT),
    "0, cut": ("GET", 0, CUT),
    "False, cut": ("GET", False, CUT),
    "3, cut POST": ("POST", 3, CUT),
    "Retry(2), cut": ("GET", Retry(2), CUT),
    "read=1": ("GET", Retry(5, read=1), CUT),
    "read=False": ("GET", Retry(5, read=False), CUT),
    "read=0": ("GET", Retry(5, read=0), CUT),
    "POST allowed, cut": ("POST", Retry(2, allowed_methods=["POST"]), CUT),
    "all methods allowed, cut": ("PATCH", Retry(2, allowed_methods=None), CUT),
    "GET not allowed, cut": ("GET", Retry(2, allowed_methods=["PUT"]), CUT),
    "status without a list": ("GET", Retry(2), DOWN),
    "forcelist": ("GET", Retry(2, status_forcelist=[502, 503, 504]), DOWN),
    "forcelist, POST": ("POST", Retry(2, status_forcelist=[503]), DOWN),
    "forcelist, POST allowed": (
        "POST",
        Retry(2, status_forcelist=[503], allowed_methods=["POST"]),
        DOWN,
    ),
    "forcelist, status=1": ("GET", Retry(5, status=1, status_forcelist=[503]), DOWN),
    "500 in the list": ("GET", Retry(2, status_forcelist=[500]), BROKEN),
    "last response wanted": (
        "GET",
        Retry(2, status_forcelist=[503], raise_on_status=False),
        DOWN,
    ),
    "Retry-After": ("GET", Retry(2), http.answer(503, b"no", {"Retry-After": "0"})),
    "Retry-After not respected": (
        "GET",
        Retry(2, respect_retry_after_header=False),
        http.answer(503, b"no", {"Retry-After": "0"}),
    ),
    "redirect=1": ("GET", Retry(5, redirect=1), http.redirect(302, "/x")),
    "redirect=False": ("GET", Retry(5, redirect=False), http.redirect(302, "/x")),
    "last redirect wanted": (
        "GET",
        Retry(5, redirect=1, raise_on_redirect=False),
        http.redirect(302, "/x"),
    ),
    "nonsense": ("GET", 3, http.says(b"nonsense\r\n\r\n")),
    "a version of the future": ("GET", 1, http.says(b"HTTP/0.5 200 OK\r\n\r\n")),
    "redirects and total": ("GET", 2, http.redirect(302, "/x")),
}


def mount(sender: Any, retries: Any) -> None:
    """Give it to requests, which takes it in an adapter."""
    if sender.client.is_requests:
        adapter = sender.client.module.adapters.HTTPAdapter(max_retries=retries)
        for prefix in ("http://", "https://"):
            sender.raw.mount(prefix, adapter)


def run(client: Client, method: str, retries: Any, reply: http.Reply) -> tuple[Any, int]:
    """What comes of it, and how many requests the server saw."""
    with Server(otherwise=reply) as server, client.open() as sender:
        mount(sender, retries)
        options = {} if client.is_requests else {"retries": retries}
        body = b"payload" if method in {"POST", "PATCH"} else None
        found = outcome(sender.send, method, server.url, body, **options)
    return found, len(server.requests)


@pytest.mark.parametrize("case", CASES)
def test_as_many_as_natively(client: Client, case: str, clock: ManualClock) -> None:
    """The server sees as many requests, and the caller the same class or the same answer."""
    method, retries, reply = CASES[case]
    if client.is_requests and retries == 0:
        return  # requests' own default, and so no choice of the caller's
    natively, expected = run(client.alone, method, retries, reply)
    found, seen = run(client, method, retries, reply)
    assert seen == expected
    if not isinstance(natively, Exception):
        assert (found.status, found.body) == (natively.status, natively.body)
        return
    assert isinstance(found, type(natively)), found
    theirs, ours = getattr(natively, "reason", None), getattr(found, "reason", None)
    assert isinstance(ours, type(theirs))
    if reply is CUT:
        assert isinstance(found, tieline.Aborted)


@pytest.mark.parametrize("case", CASES)
def test_history_as_natively(case: str, clock: ManualClock) -> None:
    """`response.retries` and its history are what they are natively."""
    method, retries, reply = CASES[case]
    answers = [
        run(Client("urllib3", ours=ours), method, retries, reply)[0] for ours in (False, True)
    ]
    if isinstance(answers[0], Exception):
        return
    natively, found = (
        [
            (each.method, urlsplit(each.url).path, each.status, each.redirect_location)
            for each in answer.raw.retries.history
        ]
        for answer in answers
    )
    assert found == natively


@pytest.mark.parametrize("retries", [None, 3, Retry(3), Retry(3, other=2)], ids=str)
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_the_post_that_urllib3_sends_four_times(
    method: str, retries: Any, ca: str, clock: ManualClock
) -> None:
    """A TLS error after the request was read: urllib3 sends it again and again, ours does not."""
    from tieline import urllib3

    counts = []
    for module in (native_urllib3, urllib3):
        with Server(otherwise=http.corrupts(), tls=context()) as server:
            with module.PoolManager(ca_certs=ca) as manager:
                error = raised(
                    manager.request, method, server.url, body=b"payload", retries=retries
                )
            assert isinstance(error, native_urllib3.exceptions.MaxRetryError)
        counts.append(len(server.requests))
    assert counts[0] >= 3
    assert counts[1] == 1
    assert error.maybe_applied


@pytest.mark.parametrize("retries", [1, Retry(3)], ids=str)
def test_a_get_lost_inside_of_tls(retries: Any, ca: str, clock: ManualClock) -> None:
    """A GET that is lost in the same way is repeated as often as the Retry says."""
    from tieline import urllib3

    counts = []
    for module in (native_urllib3, urllib3):
        with (
            Server(otherwise=http.corrupts(), tls=context()) as server,
            module.PoolManager(ca_certs=ca) as manager,
        ):
            raised(manager.request, "GET", server.url, retries=retries)
        counts.append(len(server.requests))
    assert counts[1] == counts[0] > 1


def test_the_same_through_requests(ca: str, clock: ManualClock) -> None:
    """Requests with max_retries=3 sends it as often; ours once."""
    counts = []
    for ours in (False, True):
        with (
            Server(otherwise=http.corrupts(), tls=context()) as server,
            Client("requests", ours=ours).open(ca=ca) as sender,
        ):
            mount(sender, 3)
            error = raised(sender.send, "POST", server.url, b"payload")
        counts.append(len(server.requests))
    assert counts == [4, 1]
    assert error.maybe_applied


@pytest.mark.parametrize("value", ["banana", "-5", "1.5"])
def test_malformed_retry_after_with_a_retry(client: Client, value: str, clock: ManualClock) -> None:
    """Natively InvalidHeader comes out of a plain GET; ours goes on as if it were not there."""
    retries = Retry(2, status_forcelist=[503])
    reply = http.answer(503, b"no", {"Retry-After": value})
    natively, _ = run(client.alone, "GET", retries, reply)
    assert "InvalidHeader" in type(natively).__name__
    found, seen = run(client, "GET", retries, reply)
    assert "InvalidHeader" not in type(found).__name__
    assert seen == 3


def test_refused_as_often_as_it_says(client: Client, clock: ManualClock) -> None:
    """Retry(2) connects three times, and the error tells of each."""
    with FaultServer(Refuse()) as server, client.open() as sender:
        mount(sender, Retry(2))
        options = {} if client.is_requests else {"retries": Retry(2)}
        error = raised(sender.get, f"http://127.0.0.1:{server.port}/x", **options)
    assert isinstance(error, tieline.Refused)
    assert len(error.attempts) == 3


def test_its_backoff_is_kept(client: Client, clock: ManualClock) -> None:
    """The waits are at least those that the Retry asks for."""
    retries = Retry(3, backoff_factor=2, status_forcelist=[503], raise_on_status=False)
    _, seen = run(client, "GET", retries, DOWN)
    assert seen == 4
    # 0 before the first repetition, then the factor times 2 and 4.
    assert len(clock.sleeps) >= 2
    assert clock.sleeps[-2] >= 4
    assert clock.sleeps[-1] >= 8


def test_never_past_the_deadline(client: Client, clock: ManualClock) -> None:
    """Its waits and attempts end with the deadline all the same."""
    retries = Retry(10, backoff_factor=10, status_forcelist=[503], raise_on_status=False)
    begun = clock.now()
    with tieline.deadline(5):
        run(client, "GET", retries, DOWN)
    assert clock.now() - begun <= 5


@pytest.mark.parametrize("retries", [1, 3])
def test_a_retry_of_the_constructor(retries: int, clock: ManualClock) -> None:
    """Given to the pool manager or to a pool it counts as given."""
    from tieline import urllib3

    for make in (
        lambda server: urllib3.PoolManager(retries=retries),
        lambda server: urllib3.HTTPConnectionPool(server.host, server.port, retries=retries),
    ):
        with Server(otherwise=CUT) as server, make(server) as manager:
            url = server.url if isinstance(manager, urllib3.PoolManager) else "/x"
            error = raised(manager.request, "GET", url)
        assert isinstance(error, urllib3.exceptions.MaxRetryError)
        assert len(server.requests) == retries + 1


class Counting(Retry):
    """A subclass with an opinion, as people write them."""

    def is_retry(self, method: str, status_code: int, has_retry_after: bool = False) -> bool:
        """A 404 may be replication lag."""
        return status_code == 404 or super().is_retry(method, status_code, has_retry_after)


def test_a_subclass_of_retry(client: Client, clock: ManualClock) -> None:
    """Its own methods are asked."""
    reply = http.answer(404, b"not yet")
    results = [
        run(one, "GET", Counting(2, raise_on_status=False), reply) for one in (client.alone, client)
    ]
    assert [seen for _, seen in results] == [3, 3]
    assert [found.status for found, _ in results] == [404, 404]


def reasons() -> dict[str, tuple[Any, Any, str]]:
    """Each reason of a MaxRetryError: where it comes from, the retries, what requests raises."""
    return {
        "ConnectTimeoutError": (full, 0, "ConnectTimeout"),
        "NewConnectionError": (lambda: FaultServer(Refuse()), 0, "ConnectionError"),
        "ResponseError": (
            lambda: Server(otherwise=DOWN),
            Retry(1, status_forcelist=[503]),
            "RetryError",
        ),
        "ProxyError": (lambda: FaultServer(Refuse()), 0, "ProxyError"),
        "SSLError": (
            lambda: Server(tls=context("unknown-ca")),
            0,
            "SSLError",
        ),
        "ProtocolError": (lambda: Server(otherwise=CUT), Retry(1), "ConnectionError"),
    }


@pytest.mark.parametrize("reason", reasons())
@pytest.mark.parametrize("ours", [False, True], ids=["native", "ours"])
def test_the_six_reasons_of_a_max_retry_error(
    reason: str, ours: bool, ca: str, clock: ManualClock
) -> None:
    """Requests makes another class of each, and so does ours; `args[0]` still tells the reason."""
    make, retries, expected = reasons()[reason]
    client = Client("requests", ours=ours)
    with make() as place:
        if isinstance(place, str):
            url = place
        elif isinstance(place, Server):
            url = place.url
        else:
            url = f"http://127.0.0.1:{place.port}/x"
        proxy = None
        if reason == "ProxyError":
            proxy, url = url, "http://origin.test/x"
        with client.open(ca=ca, proxy=proxy) as sender:
            mount(sender, retries)
            error = raised(sender.get, url, timeout=0.2)
    cls = getattr(client.module.exceptions, expected)
    assert isinstance(error, cls)
    if not ours:
        assert type(error) is cls
    others = {"ConnectTimeout", "RetryError", "ProxyError", "SSLError"} - {expected}
    assert not any(isinstance(error, getattr(client.module.exceptions, name)) for name in others)
    assert isinstance(error.args[0], native_urllib3.exceptions.MaxRetryError)
    assert type(error.args[0].reason).__name__ == reason
    assert error.request.url.startswith(url)


def test_a_retry_after_is_read_as_the_caller_reads_it() -> None:
    """`get_retry_after` of the caller's own class decides how long a server may have us wait."""

    class Hasty(Retry):
        def get_retry_after(self, response: Any) -> float | None:
            """Never long."""
            return min(super().get_retry_after(response) or 0, 0.5)

    unavailable = http.answer(503, headers={"Retry-After": "60"})
    with Server(unavailable) as server, urllib3.PoolManager() as manager, ManualClock() as clock:
        assert manager.request("GET", server.url, retries=Hasty(2)).status == 200
    assert sum(clock.sleeps) < 5


def test_redirects_used_up_keep_their_secrets() -> None:
    """The manager's own error after the last redirect has no values of a query in its text."""
    away = http.redirect(302, "/y?token=q7Zr0bX2kV9d")
    with (
        Server(otherwise=away) as server,
        urllib3.PoolManager() as manager,
        pytest.raises(native_urllib3.exceptions.MaxRetryError) as caught,
    ):
        manager.request("GET", server.url, retries=Retry(redirect=2))
    assert "q7Zr0bX2kV9d" not in "".join(traceback.format_exception(caught.value))
    assert "token=***" in str(caught.value)


def test_a_pool_that_makes_its_connections_itself_is_watched() -> None:
    """The recipe for Unix sockets overrides `_new_conn`: a truncated head is no 200 there either."""

    class Own(urllib3.HTTPConnectionPool):
        def _new_conn(self) -> Any:
            return native_urllib3.connection.HTTPConnection(self.host, self.port)

    half = http.says(b"HTTP/1.1 200 OK\r\nContent-")
    with (
        Server(half) as server,
        Own("127.0.0.1", server.port) as pool,
        pytest.raises(tieline.BadAnswer),
    ):
        pool.request("POST", "/x", body=b"once")
