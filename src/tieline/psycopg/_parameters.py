"""The parameters of a connection: what code and environment say, and what is wrong with it."""

from __future__ import annotations

import difflib
import math
import os
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from psycopg import conninfo as native
from psycopg import pq

from tieline.errors import ConfigError, TielineError
from tieline.policy.checks import number
from tieline.redact import HIDDEN, PLACE
from tieline.rules.fuse import fuse
from tieline.rules.libpq import conninfo_fault
from tieline.rules.natives import native_class

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping

MAX_PORT: Final = 65535

_ELSEWHERE: Final = (*PLACE, "service")
"""A host or service named in code: where the DSN of the target leads no longer counts."""


_ADVICE: Final = f"{HIDDEN}; write key=value pairs or a postgresql:// URL"


class Dsn(NamedTuple):
    """What the environment says about a target.

    Attributes:
        text: A connection string or URL.
        variable: Where it comes from.
    """

    text: str
    variable: str

    def __repr__(self) -> str:
        """Without the secret."""
        return f"Dsn({self.variable})"


def completed(conninfo: str, arguments: Mapping[str, Any], dsn: Dsn) -> str:
    """The conninfo, with what only the environment says.

    Args:
        conninfo: As given; one that psycopg does not understand stays as it is.
        arguments: Parameters given by keyword.
        dsn: What the environment says.

    Raises:
        ConfigError: What it says makes no sense.
    """
    written, fault = _read(conninfo)
    inherited, problem = _read(dsn.text)
    if problem:
        problems = (f"{dsn.variable}: {problem} {_ADVICE}",)
        raise _config_error(problems, ConfigError)
    said = {*written, *(name for name, value in arguments.items() if value is not None)}
    return conninfo if fault else _joined(_inherited(inherited, said), written)


def parse(conninfo: str, given: dict[str, str], dsn: Dsn | None) -> tuple[dict[str, str], str]:
    """All parameters of a connection, and those not given by keyword in writing.

    Args:
        conninfo: A connection string or URL.
        given: Parameters given by keyword; they win.
        dsn: What the environment says.

    Raises:
        ConfigError: With every problem.
    """
    problems = [*_unknown(given), *_unwritable(given)]
    inherited: dict[str, str] = {}
    if dsn is not None:
        inherited, fault = _read(dsn.text)
        problems += [f"{dsn.variable}: {fault} {_ADVICE}"] if fault else ()
    written, fault = _read(conninfo)
    problems += [f"conninfo: {fault} {_ADVICE}"] if fault else ()
    inherited = _inherited(inherited, {*written, *given})
    parameters = {**inherited, **written, **given}
    problems += _from(dsn, inherited, _bad_timeout(parameters, shown="connect_timeout" in given))
    # psycopg has its own class for these: it meets them when it connects.
    later = [*_bad_counts(parameters), *_bad_addresses(parameters)]
    if problems or later:
        # Raised out here, where no native error with the conninfo in it becomes its context.
        problems += _from(dsn, inherited, later)
        ours = ConfigError if len(problems) > len(later) else TielineError
        raise _config_error(tuple(problems), ours)
    return parameters, _joined(inherited, written) if inherited else conninfo


def _read(conninfo: str) -> tuple[dict[str, str], str]:
    """The parameters, and what is wrong with them in words that hold nothing of them."""
    try:
        found = native.conninfo_to_dict(conninfo) if conninfo else {}
    except native_class("psycopg", ConfigError) as error:
        return {}, conninfo_fault(str(error))
    except UnicodeError:
        return {}, "not valid Unicode"
    return {name: str(value) for name, value in found.items()}, ""


def _inherited(parameters: Mapping[str, str], said: Container[str]) -> dict[str, str]:
    """Those of a DSN that count where code says these."""
    elsewhere = any(name in said for name in _ELSEWHERE if name != "port")
    left_out = _ELSEWHERE if elsewhere else ()
    return {
        name: value
        for name, value in parameters.items()
        if name not in said and name not in left_out
    }


def _joined(inherited: Mapping[str, str], written: Mapping[str, str]) -> str:
    return native.make_conninfo("", **{**inherited, **written})


def _from(dsn: Dsn | None, inherited: Container[str], problems: Iterable[str]) -> Iterator[str]:
    """The problems, with the variable in front of those that come from it."""
    for problem in problems:
        ours = dsn is not None and problem.partition(":")[0] in inherited
        yield f"{dsn.variable}: {problem}" if ours and dsn is not None else problem


def setting(parameters: Mapping[str, str], name: str) -> str | None:
    """A parameter, or what its environment variable says; None without either."""
    if name in parameters:
        return parameters[name]
    # An older libpq may not have it.
    variable, _ = definitions().get(name, ("", ""))
    return os.environ.get(variable) if variable else None


def host_count(lists: Mapping[str, list[str]]) -> int:
    """How many hosts the lists of hosts and addresses are about; no list means one."""
    return max(len(lists["host"]), len(lists["hostaddr"]), 1)


def split(parameters: Mapping[str, str], name: str) -> list[str]:
    """The items of a parameter that holds one for each host."""
    value = setting(parameters, name)
    return value.split(",") if value else []


@cache
def definitions() -> dict[str, tuple[str, str]]:
    """Parameter -> its environment variable and the default that libpq was compiled with."""
    return {
        option.keyword.decode(): (
            (option.envvar or b"").decode(),
            (option.compiled or b"").decode(),
        )
        for option in pq.Conninfo.get_defaults()
    }


def _unknown(given: Mapping[str, str]) -> Iterator[str]:
    known = definitions()
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            advice = f"; did you mean {near[0]}?" if near else ""
            yield f"{name}: not a connection parameter{advice}"


def _unwritable(given: Mapping[str, str]) -> Iterator[str]:
    """What libpq would cut off, or Python refuse to encode with all of it in the message."""
    for name, value in given.items():
        if "\0" in value or not _encodable(value):
            yield f"{name}: a NUL, or not valid Unicode {HIDDEN}"


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeError:
        return False
    return True


def _bad_timeout(parameters: Mapping[str, str], *, shown: bool) -> Iterator[str]:
    value = setting(parameters, "connect_timeout")
    try:
        good = value is None or math.isfinite(float(value))
    except ValueError:
        good = False
    if good:
        return
    name = "connect_timeout" if "connect_timeout" in parameters else "PGCONNECT_TIMEOUT"
    if shown or name not in parameters:
        yield from number(name, value, least=0, unit="seconds")
    else:
        yield f"{name}: must be a number, 0 or more seconds {HIDDEN}"


def _bad_counts(parameters: Mapping[str, str]) -> Iterator[str]:
    lists = {name: split(parameters, name) for name in PLACE}
    count = host_count(lists)
    for name, items in lists.items():
        if len(items) not in (0, count) and not (name == "port" and len(items) == 1):
            yield f"{name}: {len(items)} given for {count} hosts; give one for each"


def _bad_addresses(parameters: Mapping[str, str]) -> Iterator[str]:
    """A URL whose password holds an @ or a / spills the rest of it into host or port."""
    if any("@" in host[1:] for host in split(parameters, "host")):
        yield f"host: an @ in it {HIDDEN}; in a URL, write %40 for one that is part of a password"
    ports = [port.strip() for port in split(parameters, "port")]
    if any(port and not (port.isdecimal() and 0 < int(port) <= MAX_PORT) for port in ports):
        yield (
            f"port: not a number from 1 to {MAX_PORT} {HIDDEN}; "
            "in a URL, write %2F for a / that is part of a password"
        )


def _config_error(problems: tuple[str, ...], ours: type[TielineError]) -> TielineError:
    """The error with all problems, which is what psycopg raises for ours, too."""
    native_base = native_class("psycopg", ours)
    facts = {"problems": problems, "target": None}
    return fuse(ConfigError, native_base, None, "; ".join(problems), facts)
