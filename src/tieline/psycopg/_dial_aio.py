"""Dialling on asyncio. Its twin `_dial_sync` has the same bodies but for ``await``."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from tieline.engine import resolver
from tieline.engine.aio import drive
from tieline.engine.context import restore
from tieline.errors import ConnectTimeout
from tieline.psycopg._dial import Dial, Startup, startup_var
from tieline.rules.libpq import native_error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from tieline.policy.decision import Proceed
    from tieline.psycopg._conninfo import Place

C = TypeVar("C")


async def connect(dial: Dial[Awaitable[C]]) -> C:
    """Connect as the policy says.

    Raises:
        TielineError: One of its classes, which is a ``psycopg.OperationalError`` too.
    """
    call, decision = dial.start()
    attempt = partial(_attempt, dial)
    return await drive(dial.state, call, decision, attempt, dial.classify, client="psycopg")


async def _attempt(dial: Dial[Awaitable[C]], proceed: Proceed) -> C:
    """Try one endpoint: all its addresses."""
    place, until = dial.begin(proceed)
    if place.name is None:
        return await _connect(dial, place.parameters, until)
    found = await _resolve(dial, place, proceed.timeout)
    for address, share, last in dial.shares(place, found, until):
        try:
            connection = await _connect(dial, {**place.parameters, "hostaddr": address}, share)
        except Exception:
            if last or not dial.goes_on():
                raise
        else:
            dial.answered(place, address)
            return connection
    raise AssertionError("a name that resolves has addresses")


async def _resolve(dial: Dial[Awaitable[C]], place: Place, timeout: float | None) -> list[str]:
    try:
        return await resolve(place.name or "", place.endpoint.port, timeout)
    except Exception as error:
        native = dial.not_resolved(place, error)
        if native is error:
            raise
        raise native from error


async def _connect(
    dial: Dial[Awaitable[C]], parameters: Mapping[str, str], until: float | None
) -> C:
    startup = Startup(until)
    token = startup_var.set(startup)
    try:
        return await within(startup, dial.native(parameters))
    except Exception as error:
        dial.not_connected(error, startup)
        raise
    finally:
        restore(startup_var, token)


async def resolve(name: str, port: int | None, timeout: float | None) -> list[str]:
    """The addresses of a name."""
    return await resolver.shared.resolve_async(name, port, timeout)


async def within(startup: Startup, connection: Awaitable[C]) -> C:
    """The connection, or psycopg's own timeout when the limit of the attempt is reached."""
    left = None if startup.until is None else startup.until - time.monotonic()
    limit = asyncio.timeout(left)
    try:
        async with limit:
            return await connection
    except TimeoutError:
        if not limit.expired():
            raise
        startup.evidence.timed_out = True
    finally:
        del limit  # it knows the task, which knows what this fails with, which knows this frame
    raise native_error(ConnectTimeout, "connection timeout expired")
