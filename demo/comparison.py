"""The comparison: both sides, the script of the outages, and the count at the end."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Final

import psycopg

from demo import app
from demo.audit import audit
from demo.heard import Heard
from demo.load import Load, Side
from demo.outage import Stage
from demo.report import conclude, introduction
from demo.result import Result, SideResult
from demo.settings import back_within, policy
from demo.watch import Watch
from tieline import psycopg as tieline_psycopg

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

    from demo.console import Console
    from demo.outage import Script
    from integration.postgres import PostgresService

_TARGET: Final = "orders-db"


def compare(console: Console, server: PostgresService, script: Script, rate: float) -> int:
    """Run both sides, and print everything.

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
    options = {"target": _TARGET, "policy": settings}
    assert settings.call_timeout is not None
    with Heard(_TARGET) as heard:
        plain = _side("psycopg", psycopg, server, {})
        ours = _side("tieline", tieline_psycopg, server, options, heard)
        stage = Stage(server)
        watch = Watch(console, stage, (plain, ours))
        with Load((plain, ours), rate):
            stage.perform(script, watch.frame)
        for side in (plain, ours):
            side.finish(settings.call_timeout + 1)
        watch.frame()
    with psycopg.connect(server.conninfo) as connection:
        plain_row, our_row = (_row(connection, side) for side in (plain, ours))
    restart, outage = stage.outages
    result = Result(
        plain=plain_row,
        ours=our_row,
        restart=restart,
        outage=outage,
        call_timeout=settings.call_timeout,
        back_within=back_within(rate),
        leaked=_leaks(our_row, console.secrets),
    )
    return conclude(console, result)


def _side(
    name: str,
    client: ModuleType,
    server: PostgresService,
    options: Mapping[str, object],
    heard: Heard | None = None,
) -> Side:
    return Side(name, partial(app.place_order, client, server.params, options, name), heard)


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
