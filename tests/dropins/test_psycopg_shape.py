"""A psycopg whose inside has changed: less is known, nothing breaks."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.dropins.flavours import Flavour

PRELUDE = """
import sys
import warnings
import psycopg as native
import tieline
from psycopg import generators, waiting
from tieline import psycopg
from tieline.testing import FaultServer
from tieline.testing.faults import Fin, Garbage, Refuse
from tests.dropins.flavours import Flavour
from tests.dropins.test_psycopg_connect import ONCE, declines

client = Flavour(sys.argv[1])

def attempt(fault):
    with FaultServer(fault) as server:
        try:
            client.connect(host=server.host, port=server.port, sslmode="disable", policy=ONCE)
        except tieline.TielineError as error:
            return error
"""

OTHER_SHAPE = """
def connect_another_way(cls, conninfo="", **kwargs):
    params = native.conninfo.make_conninfo(conninfo, **{
        key: value for key, value in kwargs.items()
        if key in ("host", "port", "sslmode", "hostaddr")
    })
    return cls(waiting.wait_conn(generators.connect(params), interval=0.1))

async def connect_another_way_async(cls, conninfo="", **kwargs):
    return connect_another_way(cls, conninfo, **kwargs)

native.Connection.connect = classmethod(connect_another_way)
native.AsyncConnection.connect = classmethod(connect_another_way_async)
"""


def run(client: Flavour, script: str) -> str:
    """What a Python of its own prints."""
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(script), client.name],
        cwd=Path(__file__).parent.parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_psycopg_that_connects_another_way(client: Flavour) -> None:
    """Without a look inside, the text still tells the kind, and one warning says what is missing."""
    out = run(
        client,
        OTHER_SHAPE
        + """
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for fault in (Refuse(), Fin(), Garbage(b"\\0\\xff nonsense"), declines("57P03", "the database system is starting up")):
        error = attempt(fault)
        print(type(error).__name__, error.failure.kind, isinstance(error, native.OperationalError))
print([warning.category.__name__ for warning in caught])
""",
    )
    assert out.splitlines() == [
        "Refused refused True",
        "HandshakeFailed eof True",
        "HandshakeFailed protocol True",
        "NotReady not-ready True",
        "['RuntimeWarning']",
    ]


def test_no_warning_otherwise(client: Flavour) -> None:
    """The psycopg that is installed has the shape that we know."""
    out = run(
        client,
        """
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    print(type(attempt(Refuse())).__name__, attempt(declines("57P03", "anders")).failure.code)
print(caught)
""",
    )
    assert out.splitlines() == ["Refused 57P03", "[]"]


@pytest.mark.parametrize(
    "text", ["the database system is starting up", "sorry, too many clients already"]
)
def test_a_libpq_without_verbosity(client: Flavour, text: str) -> None:
    """Where libpq cannot be asked for SQLSTATEs, a server's English words stand in for them."""
    out = run(
        client,
        f"""
from tieline.psycopg import _startup
_startup._set_verbosity = lambda: None
error = attempt(declines("XX000", {text!r}))
print(type(error).__name__, error.failure.code)
""",
    )
    assert out.strip() in {"NotReady 57P03", "TooBusy 53300"}
