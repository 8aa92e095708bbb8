"""The comparison: all sides, the script of the outages, and the count at the end."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import psycopg

from demo import app
from demo.audit import audit
from demo.heard import Heard
from demo.load import Load, LoopSide, ThreadSide
from demo.outage import Stage
from demo.report import conclude, introduction
from demo.result import Result, SideResult
from demo.settings import back_within, policy
from demo.watch import Watch
from tieline import psycopg as tieline_psycopg

if TYPE_CHECKING:
    from collections.abc import Callable

    from demo.console import Console
    from demo.load import Side
    from demo.outage import Script
    from integration.services.postgres import PostgresService
    from tieline import Policy

T = TypeVar("T")


def compare(console: Console, server: PostgresService, script: Script, rate: float) -> int:
    """Run all sides, and print everything.

    Args:
        console: Where to.
        server: A server that is running.
        script: Its outages.
        rate: Calls per second of each side.

    Returns:
        The exit code.
    """
    console.secrets = (server.password, server.admin_password)
    # The live view says what the log would, and a log on stderr would run through it.
    logging.getLogger("tieline").addHandler(logging.NullHandler())
    settings = policy(rate)
    with psycopg.connect(server.conninfo) as connection:
        connection.execute(app.TABLE)
    introduction(console, script, rate, settings)
    assert settings.call_timeout is not None
    with Heard("orders-db") as heard, Heard("orders-db-aio") as heard_async:
        sides = (
            ThreadSide("psycopg", partial(app.place_order, psycopg, server.params, {}, "psycopg")),
            ThreadSide(
                "tieline", _ours(app.place_order, server, settings, "tieline", heard), heard
            ),
            LoopSide(
                "asyncio",
                _ours(app.place_order_async, server, settings, "asyncio", heard_async),
                heard_async,
            ),
        )
        stage = Stage(server)
        watch = Watch(console, stage, sides)
        with Load(sides, rate):
            stage.perform(script, watch.frame)
        for side in sides:
            side.finish(settings.call_timeout + 1)
        watch.frame()
    with psycopg.connect(server.conninfo) as connection:
        plain, *ours = (_row(connection, side) for side in sides)
    restart, outage = stage.outages
    result = Result(
        plain=plain,
        ours=tuple(ours),
        restart=restart,
        outage=outage,
        call_timeout=settings.call_timeout,
        back_within=back_within(rate),
        leaked=any(_leaks(side, console.secrets) for side in ours),
    )
    return conclude(console, result)


def _ours(
    act: Callable[..., T], server: PostgresService, policy: Policy, name: str, heard: Heard
) -> Callable[[int], T]:
    """The app on tieline; a target of its own keeps the sides' breakers apart."""
    options = {"target": heard.target, "policy": policy}
    return partial(act, tieline_psycopg, server.params, options, name)


def _row(connection: psycopg.Connection, side: Side) -> SideResult:
    # A copy: a call that hung may still end.
    calls = tuple(side.calls)
    return SideResult(side.name, calls, side.most_waiting, audit(connection, side.name, calls))


def _leaks(side: SideResult, secrets: tuple[str, ...]) -> bool:
    """Whether a secret stands in an error of that side, printed or not."""
    texts = (
        "\n".join((str(call.error), repr(call.error), *getattr(call.error, "__notes__", ())))
        for call in side.failures
    )
    return any(secret in text for text in texts for secret in secrets)
