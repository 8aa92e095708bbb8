"""Whatever a server does, it gets no request twice that it may have carried out: ask its ledger."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from urllib3.util import Retry

import tieline
from tests.dropins.http import server as http
from tests.dropins.http.clients import Client
from tests.dropins.http.server import Exchange, Server
from tests.dropins.http.told import KEYED, outcome
from tieline.testing import ManualClock, reset_targets
from tieline.testing.faults import Fin, Garbage, Reset

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTENT = b"0123456789" * 20
IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})


def half(ending: str) -> http.Reply:
    """Half of the body is read, then the connection ends."""

    def reply(exchange: Exchange) -> None:
        # The rest, if there is one, stays unread: what ends is the server, not the stream.
        if ending == "reset":
            exchange.connection.reset()

    return reply


def onward(exchange: Exchange) -> bool | None:
    """The same is to be sent to another path, and to yet another one from there."""
    return http.redirect(307, f"{exchange.request.path}/on")(exchange)


def generator() -> Iterator[bytes]:
    """Two pieces, once."""
    yield CONTENT[:50]
    yield CONTENT[50:]


BODIES: dict[str, Any] = {
    "none": lambda: None,
    "bytes": lambda: CONTENT,
    "str": CONTENT.decode,
    "file": lambda: io.BytesIO(CONTENT),
    "generator": generator,
    "iterator": lambda: iter([CONTENT[:50], CONTENT[50:]]),
}
REPLIES: dict[str, http.Reply] = {
    "cut": http.cut(),
    "reset": http.resets(),
    "unread, cut": half("cut"),
    "unread, reset": half("reset"),
    "silence": http.stalls(),
    "nonsense": http.says(b"nonsense\r\n\r\n"),
    "half a status line": http.says(b"HTTP/1.1 20"),
    "half of the headers": http.says(b"HTTP/1.1 200 OK\r\nConte"),
    "half of the body": http.says(http.head(200, {"Content-Length": "100"}) + b"partial"),
    "body reset": http.resets(http.head(200, {"Content-Length": "100"}) + b"partial"),
    "bad chunk": http.says(http.head(200, {"Transfer-Encoding": "chunked"}) + b"zz\r\n"),
    "fine": http.answer(),
    "fine and closed": http.answer(close=True),
    **{str(status): http.answer(status) for status in (408, 425, 429, 500, 502, 503, 504)},
    "503 and closed": http.answer(503, close=True),
    "503, again at once": http.answer(503, b"", {"Retry-After": "0"}),
    "503, again in a second": http.answer(503, b"", {"Retry-After": "1"}),
    "503, again in bananas": http.answer(503, b"", {"Retry-After": "banana"}),
    "redirect": onward,
}
FAULTS = {"accept, FIN": Fin(), "accept, RST": Reset(), "banner": Garbage(b"SSH-2.0\r\n")}
RETRIES: dict[str, Any] = {
    "ours": None,
    "1": 1,
    "3": 3,
    "Retry(3)": Retry(3),
    "statuses": Retry(3, status_forcelist=[500, 502, 503, 504]),
    "statuses returned": Retry(3, status_forcelist=[503], raise_on_status=False),
    "any error": Retry(None, connect=3, read=3, redirect=3, status=3, other=3),
}


@dataclass(frozen=True)
class Scene:
    """One call, and a server in some mood."""

    method: str
    body: str
    keyed: bool
    stream: bool
    warm: bool
    attempts: int
    retries: str
    faults: tuple[str, ...]
    replies: tuple[str, ...]

    @property
    def repeatable(self) -> bool:
        """Whether it may be carried out twice."""
        return self.keyed or self.method in IDEMPOTENT


scenes = st.builds(
    Scene,
    # Half of them must not be repeated.
    method=st.sampled_from(["GET", "HEAD", "PUT", "DELETE", "POST", "POST", "PATCH", "post"]),
    body=st.sampled_from(list(BODIES)),
    keyed=st.sampled_from([False, False, False, True]),
    stream=st.booleans(),
    warm=st.booleans(),
    attempts=st.integers(1, 5),
    retries=st.just("ours") | st.sampled_from(list(RETRIES)),
    faults=st.lists(st.sampled_from(list(FAULTS)), max_size=2).map(tuple),
    replies=st.lists(st.sampled_from(list(REPLIES)), min_size=1, max_size=4).map(tuple),
)
SCENES = 6
"""Calls in one example: most of them are cheap."""


def play(client: Client, scene: Scene, server: Server) -> Any:
    """Make the call; what came of it."""
    policy = tieline.Policy(
        retry=tieline.Retry(max_attempts=scene.attempts), breaker=None, budget=None
    )
    retries = RETRIES[scene.retries]
    with client.open(policy=policy) as sender:
        if scene.warm:
            sender.get(server.url)
        server.faults.extend(FAULTS[name] for name in scene.faults)
        server.then(*(REPLIES[name] for name in scene.replies))
        options: dict[str, Any] = {"timeout": 0.05}
        if client.is_requests and retries is not None:
            adapter = client.module.adapters.HTTPAdapter(max_retries=retries)
            sender.raw.mount("http://", adapter)
        elif retries is not None:
            options["retries"] = retries
        body = BODIES[scene.body]()

        def call() -> Any:
            answer = sender.send(
                scene.method,
                server.url.replace("/x", "/call"),
                body,
                KEYED if scene.keyed else None,
                stream=scene.stream,
                **options,
            )
            if scene.stream:
                (answer.raw.raw if client.is_requests else answer.raw).read()
            return answer

        return outcome(call)


@pytest.mark.parametrize("name", ["requests", "urllib3"])
@given(played=st.lists(scenes, min_size=1, max_size=SCENES))
def test_nothing_is_carried_out_twice(name: str, played: list[Scene]) -> None:
    """Neither a request that may not be repeated, nor a body that can be read only once."""
    for scene in played:
        check(Client(name, ours=True), scene)


def check(client: Client, scene: Scene) -> None:
    """Make one call, and compare what its caller was told with the ledger."""
    reset_targets()
    with ManualClock(), Server() as server:
        found = play(client, scene, server)
    ledger = [request for request in server.requests if request.path != "/x"]
    arrived = Counter(request.path for request in ledger)
    once = scene.body in {"generator", "iterator"}
    if not scene.repeatable or once:
        assert set(arrived.values()) <= {1}, arrived
    if once:
        assert len(ledger) <= 1
    for request in ledger:
        # No part of a body, and no empty one, ever counts as the request.
        assert not request.complete or request.body == (CONTENT if scene.body != "none" else b"")
    if isinstance(found, Exception):
        finished = [request for request in ledger if request.complete]
        if isinstance(found, tieline.TielineError) and not found.maybe_applied:
            assert not finished, found
    else:
        assert ledger[-1].complete
        assert found.status < 600
    if scene.retries == "ours" and "redirect" not in scene.replies:
        # The replacement of a dead kept connection is no attempt.
        assert len(ledger) <= scene.attempts + scene.warm
