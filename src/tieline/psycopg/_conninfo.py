"""Where a conninfo leads: its endpoints, in the order to try them."""

from __future__ import annotations

import ipaddress
import os
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tieline.endpoint import Endpoint
from tieline.psycopg._parameters import definitions, host_count, parse, setting, split
from tieline.redact import PLACE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tieline.psycopg._parameters import Dsn

SCHEME = "postgresql"

_INHERITED: Final = (
    *PLACE,
    "connect_timeout",
    "load_balance_hosts",
    "service",
    "target_session_attrs",
)
"""Parameters that decide where to go and how long it may take."""


class Place(NamedTuple):
    """One endpoint, and the parameters that lead there and nowhere else.

    Attributes:
        endpoint: The endpoint.
        parameters: Override those of the conninfo.
        name: Host name still to be resolved; None when libpq needs no resolution.
        turn: All places of a lower turn come first.
    """

    endpoint: Endpoint
    parameters: Mapping[str, str]
    name: str | None
    turn: int = 0


class Plan(NamedTuple):
    """What a conninfo, its keywords and the environment come to.

    Attributes:
        places: The places to try, in the order they are written.
        timeout: Seconds for one attempt; 0 and less mean infinity; None where nothing says.
        balanced: Whether hosts, and the addresses of one name, are to be tried in random order.
        name: The endpoints, as the target is called where it has no other name.
        conninfo: What psycopg is to have in place of the conninfo that was given.
    """

    places: tuple[Place, ...]
    timeout: float | None
    balanced: bool
    name: str
    conninfo: str

    def __repr__(self) -> str:
        """Without secrets."""
        return f"Plan({self.name})"

    def in_order(self, draw: Callable[[], float]) -> tuple[Place, ...]:
        """The places in the order to try them.

        Args:
            draw: Source of randomness, for ``load_balance_hosts=random``.
        """
        if not self.balanced:
            return self.places
        # Two turns of the same hosts, for prefer-standby, keep one order.
        turn = {place.endpoint: draw() for place in self.places}
        return tuple(sorted(self.places, key=lambda place: (place.turn, turn[place.endpoint])))


def plan(conninfo: str, arguments: Mapping[str, Any], dsn: Dsn | None = None) -> Plan:
    """What to do for these parameters.

    Args:
        conninfo: A connection string or URL.
        arguments: Parameters given by keyword; they win.
        dsn: What the environment says; it fills in what code does not say. A host or service
            named in code takes the place of all its hosts, addresses and ports.

    Raises:
        ConfigError: With every problem, and nothing of the conninfo. Also what psycopg raises for
            the first of them, as a rule a ``psycopg.ProgrammingError``.
    """
    given = tuple((name, str(value)) for name, value in arguments.items() if value is not None)
    return _plan(conninfo, given, dsn, tuple(map(os.environ.get, _variables())))


@lru_cache(maxsize=64)
def _plan(
    conninfo: str,
    given: tuple[tuple[str, str], ...],
    dsn: Dsn | None,
    _environment: tuple[str | None, ...],
) -> Plan:
    """The same plan for the same words: an application uses the same few again and again."""
    parameters, joined = parse(conninfo, dict(given), dsn)
    places = tuple(_turns(parameters))
    timeout = setting(parameters, "connect_timeout")
    return Plan(
        places,
        None if timeout is None else float(timeout),
        setting(parameters, "load_balance_hosts") == "random",
        ",".join(dict.fromkeys(str(place.endpoint) for place in places)),
        joined,
    )


@cache
def _variables() -> tuple[str, ...]:
    """The environment variables that a plan depends on."""
    known = definitions()
    return tuple(known[name][0] for name in _INHERITED if name in known)


def _turns(parameters: Mapping[str, str]) -> Iterator[Place]:
    service = setting(parameters, "service")
    if service and not (parameters.get("host") or parameters.get("hostaddr")):
        # libpq alone reads the service file; it resolves the name, too.
        yield Place(Endpoint(SCHEME, f"service={service}", None), {}, None)
        return
    if setting(parameters, "target_session_attrs") != "prefer-standby":
        yield from _places(parameters)
        return
    # As libpq does it: a standby anywhere first, then whatever there is.
    for turn, wanted in enumerate(("standby", "any")):
        for place in _places(parameters):
            role = {"target_session_attrs": wanted}
            yield place._replace(parameters={**place.parameters, **role}, turn=turn)


def _places(parameters: Mapping[str, str]) -> Iterator[Place]:
    lists = {name: split(parameters, name) for name in PLACE}
    count = host_count(lists)
    if len(lists["port"]) == 1:
        lists["port"] *= count
    for index in range(count):
        chosen = {name: items[index] for name, items in lists.items() if items}
        port = chosen.get("port", "").strip() or _default_port()
        if lists["port"]:
            # Otherwise a service file may still have its say.
            chosen["port"] = port
        host, address = chosen.get("host", ""), chosen.get("hostaddr", "")
        shown = host or address or "(default socket)"
        endpoint = Endpoint(SCHEME, shown, int(port))
        yield Place(endpoint, chosen, host if _needs_resolution(host, address) else None)


def _needs_resolution(host: str, address: str) -> bool:
    if not host or address or host.startswith("/"):
        return False
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return True
    return False


def _default_port() -> str:
    variable, compiled = definitions()["port"]
    inherited = os.environ.get(variable, "").strip()
    return inherited if inherited.isdecimal() else compiled
