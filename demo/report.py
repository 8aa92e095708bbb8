"""What is printed before and after the run."""

from __future__ import annotations

import dataclasses
from statistics import median
from textwrap import indent, wrap
from typing import TYPE_CHECKING

import tieline
from demo.promises import broken

if TYPE_CHECKING:
    from collections.abc import Sequence

    from demo.console import Console
    from demo.load import Call
    from demo.outage import Outage, Script
    from demo.result import Result, SideResult
    from tieline import Policy

_WIDTH = 79

_HEADINGS = """\
                            most longest    first answer{:>13}
   calls answered failed at once    wait  restart  outage   lost twice"""


def introduction(console: Console, script: Script, rate: float, policy: Policy) -> None:
    """Say what is compared.

    Args:
        console: Where to.
        script: What will happen when.
        rate: Calls per second of each side.
        policy: The settings of the side on tieline.
    """
    breaker = policy.breaker
    assert breaker is not None
    before, between, _ = script.up
    _paragraph(
        console,
        f"One app, three times, against one PostgreSQL: {rate:g} calls a second each, at the same "
        "instants. A call connects, inserts a row with an id of its own, commits and closes. "
        "The first two, a thread a call, differ in the import and in policy= alone; the third is "
        "the second on an event loop:",
    )
    console.print(
        "\n  psycopg  import psycopg               what it raises, the caller gets"
        "\n  tieline  from tieline import psycopg  "
        f"call_timeout {policy.call_timeout:g} s; tries again after"
        f"\n{'':40}up to {policy.backoff.max:g} s; the breaker opens at"
        f"\n{'':40}{breaker.failures} failures in a row, for"
        f"\n{'':40}{breaker.open_for:g} to {breaker.open_max:g} s"
        "\n  asyncio  the same, AsyncConnection   the same\n"
    )
    _paragraph(
        console,
        f"SIGKILL after {before:.1f} s, and {script.restart:g} s without a server: a restart. "
        f"SIGKILL again {between:.1f} s later, and {script.down:g} s without: an outage. "
        f"All in all {script.seconds:g} s. (On one machine a dead port refuses at once: psycopg, "
        "too, fails fast here.)",
    )
    console.print()


def conclude(console: Console, result: Result) -> int:
    """Print the table, what it means, and whether the promises held.

    Args:
        console: Where to.
        result: What happened.

    Returns:
        The exit code: 0 if they held, 1 otherwise.
    """
    console.print()
    _table(console, [result])
    _paragraph(
        console,
        "  At once: calls that waited at the same time. First answer: after the instant at which "
        "the server accepted connections again. Rows: counted in the database by SQL; lost is "
        "answered but not stored.",
    )
    _stories(console, result)
    console.print()
    _paragraph(console, _ambiguous(result))
    _handlers(console, result)
    # Only now it is known, as all that could hold a password has been printed.
    leaked = result.leaked or console.leaked
    sentences = list(broken(dataclasses.replace(result, leaked=leaked)))
    return _verdict(
        console,
        sentences,
        "All promises held: no row lost, none written twice, no call beyond its "
        f"{result.call_timeout:g} s, answers within {result.back_within:.2f} s of the server's "
        "return, every error of the class that names its cause, no password shown.",
    )


def introduction_web(console: Console, script: Script, rate: float) -> None:
    """Say what the second part compares.

    Args:
        console: Where to.
        script: What will happen when.
        rate: Calls per second of each side.
    """
    before, between, _ = script.up
    console.print()
    _paragraph(
        console,
        "Now an HTTP service of two instances, and four sides: requests and urllib3, each as it "
        f"is and from tieline, with the same policy=; {rate:g} calls a second each, a session or "
        "pool a side. A call is a POST of an order with an id of its own, to one instance after "
        "the other; the instance writes it into a ledger, then answers. SIGKILL for both after "
        f"{before:.1f} s, and {script.restart:g} s without them; again {between:.1f} s later, and "
        f"{script.down:g} s without. All in all {script.seconds:g} s.",
    )
    console.print()


def conclude_web(console: Console, results: Sequence[Result]) -> int:
    """Print one table of all sides, what it means, and whether the promises held.

    Args:
        console: Where to.
        results: What happened, for each client.

    Returns:
        The exit code: 0 if they held, 1 otherwise.
    """
    console.print()
    _table(console, results)
    for result in results:
        _stories(console, result)
    unknown = sum(len(side.audit.unknown) for result in results for side in result.ours)
    stored = sum(
        len(side.audit.unknown & side.audit.stored) for result in results for side in result.ours
    )
    console.print()
    _paragraph(
        console,
        "A POST that was sent and not answered is never sent again: its caller is told "
        f"(error.maybe_applied), this time {unknown} times, and {stored} of these orders are in "
        "the ledger.",
    )
    result = results[0]
    return _verdict(
        console,
        [sentence for each in results for sentence in broken(each)],
        "All promises held: no order lost, none applied twice, no call beyond its "
        f"{result.call_timeout:g} s, answers within {result.back_within:.2f} s of the service's "
        "return, every error of the class that names its cause.",
    )


def _verdict(console: Console, sentences: Sequence[str], held: str) -> int:
    console.print()
    if sentences:
        console.print(f"BROKEN: {'; '.join(sentences)}")
        return 1
    _paragraph(console, held)
    return 0


def _table(console: Console, results: Sequence[Result]) -> None:
    sides = [(side, result) for result in results for side in result.sides]
    column = max(8, *(len(side.name) for side, _ in sides))
    for line in _HEADINGS.format(f"{results[0].noun}s").splitlines():
        console.print(" " * column + line)
    for side, result in sides:
        console.print(_row(side, result, column))


def _stories(console: Console, result: Result) -> None:
    console.print()
    for name, outage in zip(("restart", "outage"), result.outages, strict=True):
        for side in result.sides:
            _paragraph(
                console, f"  {side.name}, {name}: {_story(side, outage, result.back_within)}"
            )


def _row(side: SideResult, result: Result, column: int) -> str:
    first = (side.first_answer(outage) for outage in result.outages)
    restart, outage = ("never" if value is None else f"{value:.2f} s" for value in first)
    failed = len(side.failures)
    return (
        f"  {side.name:{column}}{len(side.calls):6}{len(side.calls) - failed:9}{failed:7}"
        f"{side.most_waiting:8}{side.longest_wait:6.2f} s{restart:>9}{outage:>8}"
        f"{len(side.audit.lost):7}{len(side.audit.twice):6}"
    )


def _story(side: SideResult, outage: Outage, back_within: float) -> str:
    """What became of the calls that met the outage."""
    met = [call for call in side.calls if call.overlaps(outage.killed, outage.accepts)]
    failed = [call for call in met if call.error is not None]
    turned_away = [call for call in failed if isinstance(call.error, tieline.CircuitOpen)]
    tried = [call for call in failed if call not in turned_away]
    waited = [call for call in met if call.error is None and call.ended >= outage.started]
    late = sum(
        isinstance(call.error, tieline.CircuitOpen)
        and outage.accepts < call.started < outage.accepts + back_within
        for call in side.calls
    )
    parts = [f"of {len(met)} calls {len(failed)} failed"]
    if waited:
        parts.append(f"{len(waited)} waited for the server and were answered ({_waits(waited)})")
    if turned_away:
        parts.append(
            f"{len(tried)} tried until the breaker opened, or as its probe ({_waits(tried)})"
        )
        parts.append(f"{len(turned_away)} failed fast with CircuitOpen ({_waits(turned_away)})")
    if late:
        parts.append(f"the price: {late} more, until the breaker's probe found the server back")
    return "; ".join(parts)


def _waits(calls: list[Call]) -> str:
    if not calls:
        return "none"
    waits = [call.wait for call in calls]
    return f"median {_time(median(waits))}, longest {_time(max(waits))}"


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 0.1 else f"{seconds * 1000:.1f} ms"


def _ambiguous(result: Result) -> str:
    """What became of COMMITs without an answer."""
    unknown = sum(len(side.audit.unknown) for side in result.ours)
    stored = sum(len(side.audit.unknown & side.audit.stored) for side in result.ours)
    return (
        "A COMMIT whose answer never came is looked up by its id when the server is back; it "
        "counts as failed, and as neither lost nor written twice. This time: tieline raised "
        f"OutcomeUnknown {unknown} times, and {stored} of these rows are "
        f"stored; psycopg failed {len(result.plain.audit.stored)} calls whose rows are stored, "
        "with an error that does not say so."
    )


def _handlers(console: Console, result: Result) -> None:
    """Show what two callers got whose calls began together."""
    console.print("\nWhat your handler saw, for calls that began at the same instant:")
    plain = {call.number: call for call in result.plain.calls}
    ours = {call.number: call for call in result.ours[0].calls}
    for number in _telling(result):
        console.print(f"\n  call {number}")
        for name, call in (("psycopg", plain.get(number)), ("tieline", ours.get(number))):
            if call is not None:
                console.print(f"    {name}  {_seen(call)}")


def _telling(result: Result) -> list[int]:
    """The first call that psycopg failed, and the first of each class that tieline raised."""
    first: dict[str, int] = {}
    for call in (*result.plain.failures[:1], *result.ours[0].failures):
        kind = type(call.error).__name__
        first.setdefault(kind, call.number)
    return sorted(set(first.values()))


def _seen(call: Call) -> str:
    error = call.error
    if error is None:
        return f"answered after {_time(call.wait)}"
    said = f"{type(error).__name__}: {error}"
    notes: list[str] = getattr(error, "__notes__", [])
    if isinstance(error, tieline.TielineError):
        if error.retry_after is not None:
            notes = [*notes, f"error.retry_after == {error.retry_after:.2f}"]
        # The history can be long; the last attempt and what follows it tell enough here.
        notes = notes[-3:]
    lines = [line.strip() for part in (said, *notes) for line in part.splitlines()]
    folded = ("\n".join(wrap(line, _WIDTH - 15, subsequent_indent="  ")) for line in lines)
    return indent("\n".join(folded), " " * 13).lstrip()


def _paragraph(console: Console, text: str) -> None:
    margin = " " * (len(text) - len(text.lstrip()))
    console.print("\n".join(wrap(text, _WIDTH, subsequent_indent=margin * 2)))
