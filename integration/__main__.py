"""Real servers for the tests: ``python -m integration``."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from integration.provision import engine as engine_process
from integration.provision import images
from integration.provision.missing import Missing
from integration.services import engine

if TYPE_CHECKING:
    from collections.abc import Iterator


def say(text: str) -> None:
    """One line about what is going on."""
    click.echo(f"integration: {text}")


@click.group()
def main() -> None:
    """Give this machine what the integration tests run in containers, or take it back."""


@main.command()
def up() -> None:
    """Start an engine, unless one answers, and get the images; it goes on until `down`."""
    with _explained():
        started = engine_process.provide(say)
        images.provide(say)
        if started:
            say("the engine goes on until `make integration ARGS=down`")


@main.command()
def down() -> None:
    """Remove what tests may have left, and end the engine that `up` has started."""
    with _explained():
        _down()


@main.command(context_settings={"ignore_unknown_options": True})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(command: tuple[str, ...]) -> None:
    """Run COMMAND with an engine and the images, and end the engine if it was started for it."""
    # So that a terminated run takes back what it has started, as an interrupted one does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    started = False
    with _explained():
        try:
            started = engine_process.provide(say)
            images.provide(say)
            code = subprocess.run(command, check=False).returncode
        finally:
            if started:
                _down()
    sys.exit(code)


def _down() -> None:
    if engine.unreachable() is None:
        engine.sweep()
    if engine_process.stop():
        say("the engine that was started is stopped")


@contextmanager
def _explained() -> Iterator[None]:
    """What is missing is said in a sentence, with exit code 1."""
    try:
        yield
    except Missing as error:
        click.echo(f"integration: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
