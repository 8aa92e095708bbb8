"""`tieline.psycopg` has what psycopg has, under the same names."""

from __future__ import annotations

import ast
import importlib
import inspect
import pickle
import subprocess
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import psycopg as native
import pytest

import tieline
from tests.dropins.flavours import bare
from tests.dropins.test_psycopg_connect import ONCE, accepts, attempt
from tieline import psycopg
from tieline.testing import FaultServer
from tieline.testing.faults import Refuse
from tools import reexports

if TYPE_CHECKING:
    from tests.dropins.flavours import Flavour

REPLACED = {"AsyncConnection", "Connection", "connect"}
"""Names that are ours."""

GONE = {"server_cursor"}
"""Submodules of psycopg 3.2 that 3.3 no longer has."""

# numpy and shapely adapters can be imported only where these packages are.
SUBMODULES = [
    name
    for name in reexports.submodules(native)
    if name not in {"types.numpy", "types.shapely"} or importlib.util.find_spec(name[6:])
    if name not in GONE
]

NAMES = sorted(
    name
    for name in {*native.__all__, *reexports.public_names(native), "__version__"}
    if not isinstance(getattr(native, name), ModuleType) and name != "logger"
)


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_there(name: str) -> None:
    """Every public name of psycopg is ours too: the very object, except those we replace."""
    assert (getattr(psycopg, name) is getattr(native, name)) == (name not in REPLACED)
    assert (name in psycopg.__all__) == (name in native.__all__)


@pytest.mark.parametrize("name", ["adapt", "conninfo", "errors", "pq", "rows", "sql", "types"])
def test_submodules_are_attributes(name: str) -> None:
    """What works after `import psycopg` alone, such as `psycopg.errors`, works with ours."""
    script = f"from tieline import psycopg; print(psycopg.{name}.__name__)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout.decode().strip() == f"psycopg.{name}"


def test_the_files_are_up_to_date() -> None:
    """The lines that are checked in are those that the generator writes."""
    if native.version.__version__ < "3.3":
        pytest.skip("they are written from psycopg 3.3")
    for path, text in reexports.render("psycopg").items():
        checked_in = (reexports.ROOT / "psycopg" / path).read_text()
        # But for the formatter, which breaks long lines and sorts.
        assert imports(checked_in) == imports(text)


def imports(text: str) -> list[str]:
    """What a file says, without layout and order."""
    lines = []
    for node in ast.parse(text).body:
        for part in ast.walk(node):
            if isinstance(part, ast.List):
                part.elts.sort(key=ast.unparse)
        lines.append(ast.unparse(node))
    return sorted(lines)


@pytest.mark.parametrize("name", SUBMODULES)
def test_every_submodule_is_there(name: str) -> None:
    """Every public submodule can be imported from us, with every public name in it."""
    theirs = importlib.import_module(f"psycopg.{name}")
    ours = importlib.import_module(f"tieline.psycopg.{name}")
    listed = getattr(theirs, "__all__", None)
    for attribute in listed or reexports.public_names(theirs):
        expected = vars(theirs).get(attribute)
        if expected is not None and not isinstance(expected, ModuleType):
            assert getattr(ours, attribute) is expected


def test_connection_is_a_connection(client: Flavour) -> None:
    """Ours is a subclass, generic as psycopg's, and shows our module's name."""
    assert issubclass(client.connection, client.native_connection)
    assert client.connection.__module__ == "tieline.psycopg"
    assert client.connection[tuple[Any, ...]] is not None


def test_subclasses_connect_as_themselves(client: Flavour) -> None:
    """`connect` of a subclass makes the subclass, and its own seams are called."""

    class Mine(client.connection):  # type: ignore[name-defined]
        seen: list[str] = []  # noqa: RUF012 - one list for the test

        @classmethod
        def _get_connection_params(cls, conninfo: str, **kwargs: Any) -> Any:
            cls.seen.append(kwargs["application_name"])
            return super()._get_connection_params(conninfo, **kwargs)

    with FaultServer(accepts) as server:
        arguments = {"host": server.host, "port": server.port, "sslmode": "disable"}
        with client.connect_as(Mine, **arguments, application_name="mine") as connection:
            assert type(bare(connection)) is Mine
    assert Mine.seen == ["mine"]


def test_factories(client: Flavour) -> None:
    """autocommit, row, cursor and prepare options arrive, as a class or for one cursor."""

    class MyCursor(client.client_cursor):  # type: ignore[name-defined]
        pass

    with (
        FaultServer(accepts) as server,
        attempt(
            client,
            server,
            autocommit=True,
            prepare_threshold=7,
            row_factory=psycopg.rows.dict_row,
            cursor_factory=MyCursor,
            context=native.adapters,
        ) as connection,
    ):
        assert connection.autocommit
        assert connection.prepare_threshold == 7
        assert connection.row_factory is psycopg.rows.dict_row
        assert type(bare(connection.cursor())) is MyCursor
        cursor = connection.cursor(row_factory=psycopg.rows.tuple_row)
        assert cursor.row_factory is psycopg.rows.tuple_row


def test_the_block_closes_the_connection(client: Flavour) -> None:
    """`with connect()` ends as psycopg's does: committed and closed."""
    with FaultServer(accepts) as server:
        with attempt(client, server) as connection:
            assert not connection.closed
        assert connection.closed
        # Closed by its user: psycopg's own error, and nothing of ours.
        with pytest.raises(native.OperationalError) as caught:
            connection.execute("SELECT 1")
    assert not isinstance(caught.value, tieline.TielineError)


def test_a_native_pool_of_our_connections(client: Flavour) -> None:
    """`connection_class` of psycopg's own pool takes our class, and its errors are the cause."""
    with FaultServer(accepts) as server:
        arguments = {"host": server.host, "port": server.port, "sslmode": "disable"}
        with client.open_pool(kwargs=arguments, min_size=1) as pool:
            connection = pool.getconn(5)
            assert type(bare(connection)) is client.connection
            pool.putconn(bare(connection))


def test_target_and_policy_are_the_only_new_keywords(client: Flavour) -> None:
    """The signature is psycopg's and two keywords more."""
    ours = inspect.signature(client.connection.connect).parameters
    theirs = inspect.signature(client.native_connection.connect).parameters
    assert set(ours) - set(theirs) == {"target", "policy"}
    assert [name for name in ours if name in theirs] == list(theirs)
    for name, parameter in theirs.items():
        assert (ours[name].kind, ours[name].default) == (parameter.kind, parameter.default)


def test_native_handlers_catch_ours(client: Flavour) -> None:
    """Code written for psycopg catches what we raise, by every class that it may use."""
    for wanted in (native.OperationalError, native.DatabaseError, native.Error, psycopg.Error):
        with FaultServer(Refuse()) as server, pytest.raises(wanted):
            attempt(client, server, policy=ONCE)


def test_config_errors_can_be_pickled(client: Flavour) -> None:
    """A ConfigError crosses a process boundary with its problems."""
    with pytest.raises(tieline.ConfigError) as caught:
        client.connect("nonsense")
    copy = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own bytes
    assert copy.problems == caught.value.problems
    assert isinstance(copy, native.ProgrammingError)
