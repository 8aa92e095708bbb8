"""Run the demonstration: ``python -m demo``."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from demo.console import Console
from demo.outage import Script
from demo.settings import back_within

if TYPE_CHECKING:
    from integration.services.postgres import PostgresService

UNAVAILABLE = 3
INTERRUPTED = 130


@click.command()
@click.option(
    "--seconds", default=27.0, show_default=True, help="Length of the first part, outages included."
)
@click.option(
    "--restart",
    type=click.FloatRange(min=0.2),
    default=1.0,
    show_default=True,
    help="Seconds without a server the first time: short enough to wait for.",
)
@click.option(
    "--down",
    type=click.FloatRange(min=0.2),
    default=8.0,
    show_default=True,
    help="Seconds without a server the second time.",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=1, max=40),
    default=20.0,
    show_default=True,
    help="Calls per second of each side.",
)
def main(seconds: float, restart: float, down: float, rate: float) -> None:
    """Show tieline beside plain clients while their servers are killed and come back.

    First psycopg and a real PostgreSQL, which is started for it and removed at the end; then
    requests and urllib3 and an HTTP service of two instances; last, followers of a WebSocket
    service that restarts and is killed.

    Exit codes: 0 all promises held, 1 one was broken, 2 wrong usage, 3 no PostgreSQL to be had.
    """
    script = Script(seconds, restart, down)
    needed = back_within(rate)
    if min(script.up) < needed / 2 or script.up[-1] < needed:
        raise click.UsageError("--seconds leaves the server too little time between the outages")
    console = Console(sys.stdout)
    try:
        with ExitStack() as resources:
            try:
                server = resources.enter_context(_server())
                # Late, as the clients may be missing too.
                from demo.comparison import compare
                from demo.ticks import compare_ticks
                from demo.web import compare_web, script_for
            except (ImportError, KeyError, OSError, RuntimeError) as error:
                console.print(f"demo: it cannot run here: {_last_line(error)}")
                sys.exit(UNAVAILABLE)
            code = compare(console, server, script, rate)
        code = max(code, compare_web(console, script_for(script), rate))
        sys.exit(max(code, compare_ticks(console)))
    except KeyboardInterrupt:
        console.print("\ndemo: interrupted; the server is stopped and removed")
        sys.exit(INTERRUPTED)


def _server() -> PostgresService:
    if sys.platform != "linux":
        raise RuntimeError(f"the embedded PostgreSQL runs on Linux, and this is {sys.platform}")
    from integration.services.postgres_local import LocalPostgres

    return LocalPostgres()


def _last_line(error: Exception) -> str:
    """What matters most: an error about a server ends with the end of that server's log."""
    return (str(error).strip() or type(error).__name__).splitlines()[-1].strip()


if __name__ == "__main__":
    main()
