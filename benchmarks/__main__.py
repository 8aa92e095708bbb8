"""``python -m benchmarks``: prints every figure of one run."""

from __future__ import annotations

import asyncio
import logging
import platform

import click

from benchmarks import engine, http, postgres, websockets
from benchmarks.measure import least_nanoseconds, least_nanoseconds_async


@click.command()
@click.option("--rounds", default=41, show_default=True, help="Chunks of each row of the engine.")
@click.option("--pairs", default=400, show_default=True, help="Pairs of SQL calls in a round.")
@click.option("--requests", default=2000, show_default=True, help="Pairs of HTTP requests in one.")
def main(rounds: int, pairs: int, requests: int) -> None:
    """Measure tieline beside raw calls and other libraries."""
    logging.disable(logging.CRITICAL)
    click.echo(f"Python {platform.python_version()}, {platform.machine()}, {platform.system()}")
    for title, rows in (
        ("healthy call, least ns", engine.healthy()),
        ("breaker open, reject and catch, least ns", engine.rejecting()),
    ):
        click.echo(f"\n{title}")
        for name, nanoseconds in least_nanoseconds(dict(rows), rounds).items():
            click.echo(f"  {nanoseconds:10,.0f}  {name}")
    for title, async_rows in (
        ("healthy call of a coroutine function, least ns", engine.healthy_async()),
        ("breaker open, reject and catch, coroutine function, least ns", engine.rejecting_async()),
    ):
        click.echo(f"\n{title}")
        found = asyncio.run(least_nanoseconds_async(dict(async_rows), rounds))
        for name, nanoseconds in found.items():
            click.echo(f"  {nanoseconds:10,.0f}  {name}")
    click.echo("\n8 threads sharing one target, calls of 2 ms: wall over the wall of one thread")
    for name, ratio in engine.walls():
        click.echo(f"  {ratio:10.2f}  {name}")
    click.echo("\n16 callers at half-open: how many reach the server")
    for name, count in engine.probes():
        click.echo(f"  {count:10}  {name}")
    for title, ratios in (
        ("tieline.psycopg over psycopg", postgres.ratios(5, pairs)),
        (
            "tieline.urllib3 and tieline.requests over the clients themselves",
            http.ratios(5, requests),
        ),
        ("tieline.websockets over websockets", websockets.ratios(5, pairs)),
    ):
        click.echo(f"\nreal calls, {title}, median ratio in each of 5 rounds")
        for name, medians in ratios:
            click.echo(f"  {' '.join(f'{ratio:.3f}' for ratio in medians)}  {name}")


if __name__ == "__main__":
    main()
