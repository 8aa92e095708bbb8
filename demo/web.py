"""The second part: an HTTP service that dies twice, under requests and urllib3 and both drop-ins."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import requests
import urllib3

from demo.heard import Heard
from demo.load import Load, ThreadSide
from demo.outage import Script, Stage
from demo.report import conclude_web, introduction_web
from demo.result import Result, SideResult
from demo.service import Service
from demo.settings import back_within, policy
from demo.watch import Watch
from tieline import requests as tieline_requests
from tieline import urllib3 as tieline_urllib3

if TYPE_CHECKING:
    from collections.abc import Callable

    from demo.console import Console
    from demo.load import Side

LEAST = 8.1
"""Seconds that two outages need, with time enough around them.

The tenth lets SIGKILL come a little after calls have begun, so that it meets some at work.
"""


def script_for(script: Script) -> Script:
    """The same in shorter.

    Args:
        script: What happened to PostgreSQL.
    """
    return Script(max(LEAST, script.seconds / 4), script.restart, min(script.down, 2.0))


def compare_web(console: Console, script: Script, rate: float) -> int:
    """Run all sides, and print everything.

    Args:
        console: Where to.
        script: The outages of the service.
        rate: Calls per second of each side.

    Returns:
        The exit code.
    """
    settings = policy(rate)
    assert settings.call_timeout is not None
    introduction_web(console, script, rate)
    with ExitStack() as resources:
        service = resources.enter_context(Service())
        pairs: list[tuple[Side, Side]] = []
        for name, native, ours, open_ in (
            ("requests", requests, tieline_requests, _session),
            ("urllib3", urllib3, tieline_urllib3, _manager),
        ):
            heard = resources.enter_context(Heard(f"orders-{name}"))
            options = {"target": heard.target, "policy": settings}
            plain = ThreadSide(name, resources.enter_context(open_(native, service, name)))
            mine = f"tieline.{name}"
            act = resources.enter_context(open_(ours, service, mine, **options))
            pairs.append((plain, ThreadSide(mine, act, heard)))
        sides = [side for pair in pairs for side in pair]
        stage = Stage(service)
        watch = Watch(console, stage, sides, "the service")
        with Load(sides, rate):
            stage.perform(script, watch.frame)
        for side in sides:
            side.finish(settings.call_timeout + 1)
        watch.frame()
        restart, outage = stage.outages
        results = [
            Result(
                plain=_row(service, plain),
                ours=(_row(service, ours),),
                restart=restart,
                outage=outage,
                call_timeout=settings.call_timeout,
                back_within=back_within(rate),
                leaked=False,
                native=native,
                noun="order",
                store="the ledger",
            )
            for (plain, ours), native in zip(
                pairs,
                (requests.RequestException, urllib3.exceptions.HTTPError),
                strict=True,
            )
        ]
    return conclude_web(console, results)


class _Opened:
    """The app on one client: a session or pool manager that all its calls share."""

    def __init__(self, client: Any, act: Callable[[Any, int], None]) -> None:
        self._client = client
        self._act = act

    def __enter__(self) -> Callable[[int], None]:
        return partial(self._act, self._client)

    def __exit__(self, *_: object) -> None:
        self._client.__exit__(None, None, None)


def _session(module: Any, service: Service, side: str, **options: Any) -> _Opened:
    def place_order(session: Any, order: int) -> None:
        session.post(service.url(side, order), timeout=2).raise_for_status()

    return _Opened(module.Session(**options), place_order)


def _manager(module: Any, service: Service, side: str, **options: Any) -> _Opened:
    def place_order(manager: Any, order: int) -> None:
        assert manager.request("POST", service.url(side, order), timeout=2).status == 201

    return _Opened(module.PoolManager(maxsize=20, **options), place_order)


def _row(service: Service, side: Side) -> SideResult:
    calls = tuple(side.calls)
    return SideResult(side.name, calls, side.most_waiting, service.audit(side.name, calls))
