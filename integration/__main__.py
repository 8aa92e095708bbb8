"""Real servers for the tests: ``python -m integration``."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import click

from integration.provision import engine as engine_process
from integration.provision import images
from integration.provision.missing import Missing
from integration.provision.packages import install
from integration.services import engine
from integration.services.afterwards import afterwards

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
        _provide_tools()
        started = engine_process.provide(say)
        images.provide(say)
        if started:
            say("the engine goes on until `make integration ARGS=down`")


@main.command()
def down() -> None:
    """Remove what tests may have left, and end the engine that `up` has started."""
    if engine.unreachable() is None and engine.sweep():
        say("tests use the engine: it goes on until `make integration ARGS=down` after them")
    elif engine_process.stop():
        say("the engine that was started is stopped")


@main.command(context_settings={"ignore_unknown_options": True})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(command: tuple[str, ...]) -> None:
    """Run COMMAND with an engine and the images; an engine that is started ends with it."""
    with _explained(), ExitStack() as resources:
        _provide_tools()
        if started := engine_process.provide(say):
            resources.callback(reap, started)
            resources.enter_context(afterwards("integration", "down"))
        images.provide(say)
        process = resources.enter_context(subprocess.Popen(command))
        # The end of the command is the end of this one: an interrupt in the terminal reaches both.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        code = process.wait()
    sys.exit(code)


def reap(process: subprocess.Popen[bytes]) -> None:
    """Wait for the end of an engine that was told to end; one that others use goes on."""
    if engine.unreachable() is not None:
        process.wait()


def _provide_tools() -> None:
    """What cuts a network; tests that do are the only ones that miss it."""
    try:
        install({"nft": "nftables"}, "to cut networks")
    except Missing as error:
        say(str(error))


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
