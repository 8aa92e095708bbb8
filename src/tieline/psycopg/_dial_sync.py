"""Dialling in threads. Its twin `_dial_aio` has the same bodies but for ``await``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

from tieline.engine import resolver
from tieline.engine.context import restore
from tieline.engine.sync import drive
from tieline.psycopg._dial import Dial, Startup, startup_var

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tieline.policy.decision import Proceed
    from tieline.psycopg._conninfo import Place

C = TypeVar("C")


def connect(dial: Dial[C]) -> C:
    """Connect as the policy says.

    Raises:
        TielineError: One of its classes, which is a ``psycopg.OperationalError`` too.
    """
    call, decision = dial.start()
    attempt = partial(_attempt, dial)
    return drive(dial.state, call, decision, attempt, dial.classify, client="psycopg")


def _attempt(dial: Dial[C], proceed: Proceed) -> C:
    """Try one endpoint: all its addresses."""
    place, until = dial.begin(proceed)
    if place.name is None:
        return _connect(dial, place.parameters, until)
    found = _resolve(dial, place, proceed.timeout)
    for address, share, last in dial.shares(place, found, until):
        try:
            connection = _connect(dial, {**place.parameters, "hostaddr": address}, share)
        except Exception:
            if last or not dial.goes_on():
                raise
        else:
            dial.answered(place, address)
            return connection
    raise AssertionError("a name that resolves has addresses")


def _resolve(dial: Dial[C], place: Place, timeout: float | None) -> list[str]:
    try:
        return resolve(place.name or "", place.endpoint.port, timeout)
    except Exception as error:
        native = dial.not_resolved(place, error)
        if native is error:
            raise
        raise native from error


def _connect(dial: Dial[C], parameters: Mapping[str, str], until: float | None) -> C:
    startup = Startup(until)
    token = startup_var.set(startup)
    try:
        return within(startup, dial.native(parameters))
    except Exception as error:
        dial.not_connected(error, startup)
        raise
    finally:
        restore(startup_var, token)


def resolve(name: str, port: int | None, timeout: float | None) -> list[str]:
    """The addresses of a name."""
    return resolver.shared.resolve(name, port, timeout)


def within(_startup: Startup, connection: C) -> C:
    """The connection itself: its generator has kept to the time limit."""
    return connection
