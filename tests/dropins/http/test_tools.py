"""Tools that patch requests and urllib3, or watch them, work unchanged with ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import requests as native_requests
import requests_mock
import responses
import vcr
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.instrumentation.urllib3 import URLLib3Instrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import tieline
from tests.dropins.http import server as http
from tests.dropins.http.clients import Client
from tests.dropins.http.server import Server
from tests.dropins.http.told import POLICY
from tieline import requests, urllib3
from tieline.testing import FaultServer
from tieline.testing.faults import Refuse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_httpserver import HTTPServer

    from tieline.testing import ManualClock

URL = "http://orders.test/x"


@responses.activate
def test_responses() -> None:
    """Canned answers, callbacks, errors of one's own, and calls counted."""
    responses.get(URL, json={"a": 1}, headers={"X-Own": "1"})
    responses.add_callback(responses.POST, URL, lambda request: (201, {}, request.body))
    responses.put(URL, body=native_requests.ConnectionError("own"))
    with requests.Session(policy=POLICY) as session:
        response = session.get(URL)
        assert response.json() == {"a": 1}
        assert response.headers["x-own"] == "1"
        assert session.post(URL, data=b"payload").content == b"payload"
        with pytest.raises(native_requests.ConnectionError, match="own") as caught:
            session.put(URL)
        assert type(caught.value) is native_requests.ConnectionError
        with pytest.raises(native_requests.ConnectionError):
            session.get("http://elsewhere.test/")
    assert requests.get(URL).status_code == 200
    assert responses.assert_call_count(URL, 4)


@responses.activate
def test_responses_in_order(clock: ManualClock) -> None:
    """Several answers to one URL come in turn, streamed as well."""
    for body in ("one", "two"):
        responses.get(URL, body=body)
    with requests.Session() as session:
        assert session.get(URL).text == "one"
        with session.get(URL, stream=True) as response:
            assert b"".join(response.iter_content(2)) == b"two"


@responses.activate
def test_responses_with_a_retry() -> None:
    """responses honours the adapter's max_retries, ours as well."""
    responses.get(URL, status=503)
    responses.get(URL, status=200, body="ok")
    with requests.Session() as session:
        retry = urllib3.Retry(total=1, status_forcelist=[503])
        session.mount("http://", requests.adapters.HTTPAdapter(max_retries=retry))
        assert session.get(URL).text == "ok"
    assert len(responses.calls) == 2


def test_requests_mock() -> None:
    """Everywhere, in one session, and mounted as an adapter."""
    with requests_mock.Mocker() as mocker:
        mocker.get(URL, text="mocked")
        mocker.post(URL, exc=native_requests.exceptions.ConnectTimeout)
        assert requests.get(URL).text == "mocked"
        with requests.Session(policy=POLICY) as session:
            assert session.get(URL).text == "mocked"
            with pytest.raises(native_requests.exceptions.ConnectTimeout):
                session.post(URL)
        assert mocker.call_count == 3
    with requests.Session() as session:
        with requests_mock.Mocker(session=session) as mocker:
            mocker.get(URL, json=[1])
            assert session.get(URL).json() == [1]
        adapter = requests_mock.Adapter()
        session.mount("mock://", adapter)
        adapter.register_uri("GET", "mock://x", text="adapter")
        assert session.get("mock://x").text == "adapter"


@pytest.mark.parametrize("name", ["requests", "urllib3"])
def test_vcr(name: str, tmp_path: Path) -> None:
    """A cassette is recorded from a real server, and played when it is gone."""
    client = Client(name, ours=True)
    cassette = str(tmp_path / "cassette.yaml")
    with (
        Server(otherwise=http.answer(200, b"recorded", {"X-Own": "1"})) as server,
        vcr.use_cassette(cassette),
        client.open() as sender,
    ):
        url = server.url
        assert sender.get(url).body == b"recorded"
        assert sender.send("POST", url, b"payload").body == b"recorded"
    assert len(server.requests) == 2
    with vcr.use_cassette(cassette, record_mode="none") as played:
        with client.open() as sender:
            answer = sender.get(url)
            assert (answer.body, answer.headers["x-own"]) == (b"recorded", "1")
            assert sender.send("POST", url, b"payload").body == b"recorded"
        assert played.play_count == 2
        with client.open() as sender, pytest.raises(vcr.errors.CannotOverwriteExistingRequestException):
            sender.send("PUT", url)
    with client.open(policy=POLICY) as sender, pytest.raises(tieline.Refused):
        sender.get(url)


def test_vcr_in_the_middle(tmp_path: Path) -> None:
    """A session that was used before a cassette is opened, and after it."""
    with Server() as server, requests.Session() as session:
        session.get(server.url)
        with vcr.use_cassette(str(tmp_path / "cassette.yaml")):
            assert session.get(server.url).content == b"ok"
        assert session.get(server.url).content == b"ok"


def test_pytest_httpserver(httpserver: HTTPServer) -> None:
    """A real server that expects what it is told to expect."""
    httpserver.expect_ordered_request("/a", method="POST", json={"a": 1}).respond_with_json([2])
    httpserver.expect_ordered_request("/b", query_string="c=d").respond_with_data("text")
    with requests.Session() as session:
        assert session.post(httpserver.url_for("/a"), json={"a": 1}).json() == [2]
    with urllib3.PoolManager() as manager:
        assert manager.request("GET", httpserver.url_for("/b?c=d")).data == b"text"
    httpserver.check_assertions()


@pytest.fixture
def spans() -> InMemorySpanExporter:
    """The spans that were ended."""
    return InMemorySpanExporter()


@pytest.fixture
def provider(spans: InMemorySpanExporter) -> Iterator[TracerProvider]:
    """Hands spans on as soon as they end."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    yield provider
    provider.shutdown()


@pytest.fixture
def watched_urllib3(provider: TracerProvider) -> Iterator[None]:
    """The instrumentation of urllib3, for one test."""
    instrumentor = URLLib3Instrumentor()
    instrumentor.instrument(tracer_provider=provider)
    yield
    instrumentor.uninstrument()


@pytest.fixture
def watched_requests(provider: TracerProvider) -> Iterator[None]:
    """The instrumentation of requests, for one test."""
    instrumentor = RequestsInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    yield
    instrumentor.uninstrument()


def statuses(spans: InMemorySpanExporter) -> list[Any]:
    """Status codes of the spans, in the order in which they ended; None for an error."""
    return [
        (span.attributes or {}).get("http.status_code") for span in spans.get_finished_spans()
    ]


@pytest.mark.usefixtures("watched_urllib3")
def test_a_span_for_each_attempt(spans: InMemorySpanExporter, clock: ManualClock) -> None:
    """urllib3: two answers that were not good enough and a good one are three spans."""
    with Server(http.answer(503), http.answer(502)) as server, urllib3.PoolManager() as manager:
        assert manager.request("GET", server.url).status == 200
    assert statuses(spans) == [503, 502, 200]
    # Each attempt tells the server of its own span.
    parents = [request.headers["traceparent"] for request in server.requests]
    assert len(set(parents)) == 3


@pytest.mark.usefixtures("watched_urllib3")
def test_a_span_for_each_failed_attempt(spans: InMemorySpanExporter, clock: ManualClock) -> None:
    """Attempts that were refused or cut have spans too, and those of the pool on its own."""
    with (
        FaultServer(Refuse()) as server,
        urllib3.HTTPConnectionPool(server.host, server.port, policy=POLICY) as pool,
        pytest.raises(tieline.Refused),
    ):
        pool.request("GET", "/x")
    assert len(spans.get_finished_spans()) == 3
    spans.clear()
    with Server(http.cut()) as server, urllib3.PoolManager() as manager:
        manager.request("GET", server.url)
    assert statuses(spans)[-1] == 200
    assert len(spans.get_finished_spans()) == 2


@pytest.mark.usefixtures("watched_requests")
def test_a_span_for_each_send(spans: InMemorySpanExporter, clock: ManualClock) -> None:
    """requests: a span for each send, as natively: one for the call, and one for each hop."""
    found = []
    for module in (native_requests, requests):
        with Server(http.redirect(302, "/y"), http.answer(200)) as server, module.Session() as session:
            session.get(server.url)
        found.append(statuses(spans))
        spans.clear()
    assert found[0] == found[1]
    with Server(http.answer(503)) as server, requests.Session() as session:
        session.get(server.url)
    assert statuses(spans) == [200]


@pytest.mark.usefixtures("watched_requests", "watched_urllib3")
def test_both_instrumentations(spans: InMemorySpanExporter, clock: ManualClock) -> None:
    """With both on, that of requests keeps the other one quiet, natively and here."""
    for module in (native_requests, requests):
        with Server(http.answer(404)) as server, module.Session() as session:
            session.get(server.url)
        assert statuses(spans) == [404]
        spans.clear()


@pytest.mark.usefixtures("watched_urllib3")
def test_a_span_for_each_attempt_of_requests(
    spans: InMemorySpanExporter, clock: ManualClock
) -> None:
    """The attempts of a requests call are urllib3's: its instrumentation has a span for each."""
    with Server(http.answer(503), http.cut()) as server, requests.Session() as session:
        assert session.get(server.url).status_code == 200
    assert [statuses(spans)[index] for index in (0, 2)] == [503, 200]
    assert len(spans.get_finished_spans()) == 3


def test_instrumentation_comes_and_goes(
    spans: InMemorySpanExporter, provider: TracerProvider
) -> None:
    """A pool that exists already is watched from then on, and no more when it is over."""
    with Server() as server, urllib3.PoolManager() as manager:
        manager.request("GET", server.url)
        instrumentor = URLLib3Instrumentor()
        instrumentor.instrument(tracer_provider=provider)
        try:
            manager.request("GET", server.url)
        finally:
            instrumentor.uninstrument()
        manager.request("GET", server.url)
    assert statuses(spans) == [200]
