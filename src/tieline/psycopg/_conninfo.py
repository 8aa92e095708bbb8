"""Where a conninfo leads: its endpoints, in the order to try them."""

from __future__ import annotations

import difflib
import ipaddress
from typing import TYPE_CHECKING, Any, NamedTuple

from psycopg import conninfo as native
from psycopg import pq

from tieline.endpoint import Endpoint
from tieline.errors import ConfigError
from tieline.policy.checks import number
from tieline.rules.libpq import conninfo_fault
from tieline.rules.natives import native_class
from tieline.rules.translate import config_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

SCHEME = "postgresql"


class Place(NamedTuple):
    """One endpoint, and the parameters that lead there and nowhere else.

    Attributes:
        endpoint: The endpoint.
        parameters: Override those of the conninfo.
        name: Host name still to be resolved; None when libpq needs no resolution.
    """

    endpoint: Endpoint
    parameters: Mapping[str, str]
    name: str | None


def parse(conninfo: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """All parameters of a connection.

    Args:
        conninfo: A connection string or URL.
        arguments: Parameters given by keyword; they win.

    Raises:
        ConfigError: Also a ``psycopg.ProgrammingError``; nothing of the conninfo is in it.
    """
    problems = list(_unknown(arguments))
    fault = ""
    parameters: dict[str, Any] = {}
    try:
        parameters = dict(native.conninfo_to_dict(conninfo))
    except native_class("psycopg", ConfigError) as error:
        fault = conninfo_fault(str(error))
    if fault:
        problems.append(
            f"conninfo: {fault} (not shown, it may hold a password); "
            "write key=value pairs or a postgresql:// URL"
        )
    parameters.update((key, value) for key, value in arguments.items() if value is not None)
    problems += _bad_timeout(parameters)
    if problems:
        # Raised out here, where no native error with the conninfo in it becomes its context.
        raise config_error(tuple(problems), "psycopg")
    return parameters


def connect_timeout(parameters: Mapping[str, Any]) -> float | None:
    """Seconds that the parameters or PGCONNECT_TIMEOUT give to one attempt; None if none do.

    Zero and less mean infinity to libpq, and so they do here.
    """
    value = parameters.get("connect_timeout") or _default("connect_timeout")
    return None if value is None else float(value)


def places(parameters: Mapping[str, Any], draw: Callable[[], float]) -> list[Place]:
    """The places to try, in order.

    Args:
        parameters: As `parse` returns them.
        draw: Source of randomness, for ``load_balance_hosts=random``.

    Raises:
        ConfigError: Hosts, addresses and ports differ in number.
    """
    if parameters.get("service") and not (parameters.get("host") or parameters.get("hostaddr")):
        # libpq alone reads the service file; it resolves the name, too.
        return [Place(Endpoint(SCHEME, f"service={parameters['service']}", None), {}, None)]
    found = list(_places(parameters))
    if parameters.get("load_balance_hosts") == "random":
        found.sort(key=lambda _: draw())
    if parameters.get("target_session_attrs") == "prefer-standby":
        # As libpq does it: a standby anywhere first, then whatever there is.
        standby = {"target_session_attrs": "standby"}
        anything = {"target_session_attrs": "any"}
        return [
            place._replace(parameters={**place.parameters, **wanted})
            for wanted in (standby, anything)
            for place in found
        ]
    return found


def _places(parameters: Mapping[str, Any]) -> Iterator[Place]:
    hosts = _split(parameters, "host")
    addresses = _split(parameters, "hostaddr")
    ports = _split(parameters, "port")
    count = max(len(hosts), len(addresses), 1)
    for name, values in (("hostaddr", addresses), ("host", hosts), ("port", ports)):
        if len(values) not in (0, count) and not (name == "port" and len(values) == 1):
            problem = f"{name}: {len(values)} given for {count} hosts; give one for each"
            raise config_error((problem,), "psycopg")
    for index in range(count):
        host = hosts[index] if hosts else ""
        address = addresses[index] if addresses else ""
        port = (ports[index] if len(ports) > 1 else ports[0]) if ports else ""
        port = port or _default("port") or "5432"
        chosen = {"host": host, "hostaddr": address, "port": port}
        given = {key: value for key, value in chosen.items() if value}
        shown = host or address or "(default socket)"
        endpoint = Endpoint(SCHEME, shown, int(port) if port.isdecimal() else None)
        yield Place(endpoint, given, host if _needs_resolution(host, address) else None)


def _needs_resolution(host: str, address: str) -> bool:
    if not host or address or host.startswith(("/", "@")):
        return False
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return True
    return False


def _split(parameters: Mapping[str, Any], name: str) -> list[str]:
    value = parameters.get(name)
    value = _default(name) if value is None else str(value)
    return value.split(",") if value else []


def _default(name: str) -> str | None:
    """What libpq takes from the environment or a service file."""
    for option in pq.Conninfo.get_defaults():
        if option.keyword == name.encode():
            return None if option.val is None else option.val.decode()
    return None


def _unknown(arguments: Mapping[str, Any]) -> Iterator[str]:
    known = [option.keyword.decode() for option in pq.Conninfo.get_defaults()]
    for name in arguments:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            advice = f"; did you mean {near[0]}?" if near else ""
            yield f"{name}: not a connection parameter{advice}"


def _bad_timeout(parameters: Mapping[str, Any]) -> Iterator[str]:
    value = parameters.get("connect_timeout")
    try:
        float(value or 0)
    except (TypeError, ValueError):
        yield from number("connect_timeout", value, least=0, unit="seconds")
