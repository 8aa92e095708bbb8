"""`tieline.websockets` has what websockets has, under the same names."""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
import warnings
from types import ModuleType
from typing import Any

import pytest
import websockets as native
import websockets.asyncio.client as native_aio
import websockets.sync.client as native_sync

from tests.dropins.test_psycopg_exports import imports
from tests.engine.script import run
from tieline import websockets
from tieline.websockets._connect import RECONNECTS
from tieline.websockets.asyncio import client as aio
from tieline.websockets.sync import client as sync
from tools import reexports

REPLACED = {"ClientConnection", "connect", "unix_connect"}
"""Names that are ours."""

NEWEST = native.__version__ >= "17.4"
AWAY = ("legacy", "trio", "speedups", "cli", "connection", "auth")
"""Submodules that are deprecated, need another package, or are no interface."""

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    SUBMODULES = [
        name
        for name in reexports.submodules(native)
        if name.partition(".")[0] not in AWAY and not name.endswith("router") and name != "http"
    ]


@pytest.mark.parametrize("name", native.__all__)
def test_every_name_is_there(name: str) -> None:
    """Every public name is ours too: the very object, except those we replace."""
    try:
        theirs = getattr(native, name)
    except ImportError:
        # werkzeug is missing, and older releases say so here.
        with pytest.raises(ImportError):
            getattr(websockets, name)
        return
    assert (getattr(websockets, name) is theirs) == (name not in REPLACED)
    assert name in websockets.__all__


def test_star_import_works() -> None:
    """`__all__` lists nothing that this release does not have."""
    for name in websockets.__all__:
        assert getattr(websockets, name) is not None


@pytest.mark.skipif(not NEWEST, reason="they are written from websockets 17.4")
def test_the_files_are_up_to_date() -> None:
    """The lines that are checked in are those that the generator writes."""
    for path, text in reexports.render("websockets").items():
        checked_in = (reexports.ROOT / "websockets" / path).read_text()
        assert imports(checked_in) == imports(text)


@pytest.mark.parametrize("name", SUBMODULES)
def test_every_submodule_is_there(name: str) -> None:
    """Every public submodule can be imported from us, with every name that it lists."""
    theirs = importlib.import_module(f"websockets.{name}")
    try:
        ours = importlib.import_module(f"tieline.websockets.{name}")
    except ModuleNotFoundError:
        assert not NEWEST
        return
    replaced = name in {"asyncio.client", "sync.client"}
    for attribute in getattr(theirs, "__all__", ()):
        expected = vars(theirs).get(attribute)
        if expected is not None and not isinstance(expected, ModuleType):
            assert (getattr(ours, attribute) is expected) == (not replaced)


@pytest.mark.parametrize("name", ["exceptions", "asyncio", "client", "frames", "http11", "typing"])
def test_submodules_are_attributes(name: str) -> None:
    """What works after `import websockets` and a first use, such as `websockets.exceptions`."""
    assert getattr(websockets, name).__name__ == f"tieline.websockets.{name}"


def test_modules_are_ours_whatever_is_loaded() -> None:
    """An application that imports websockets first gets our modules from us all the same."""
    script = """
        import websockets.asyncio.client, websockets.sync.client
        from tieline.websockets.asyncio import client as aio
        from tieline.websockets.sync import client as sync
        print(aio.connect.__module__, sync.ClientConnection.__module__)
    """
    ours = ["tieline.websockets.asyncio.client", "tieline.websockets.sync.client"]
    assert run(script).stdout.split() == ours


@pytest.mark.parametrize(
    ("module", "name"), [("", "WebSocketClientProtocol"), ("exceptions", "InvalidStatusCode")]
)
def test_deprecated_names_are_there(module: str, name: str) -> None:
    """An `except` clause that names an old class goes on working, with websockets' warning."""
    ours: Any = getattr(websockets, module) if module else websockets
    theirs: Any = importlib.import_module(f"websockets.{module}".rstrip("."))
    with pytest.warns(DeprecationWarning, match=name):
        assert getattr(ours, name) is getattr(theirs, name)


def test_no_other_name() -> None:
    """An unknown one is an AttributeError, as natively: there is no such exception in websockets."""
    with pytest.raises(AttributeError):
        _ = websockets.exceptions.ConnectionRefusedError  # type: ignore[attr-defined]


def test_classes_are_subclasses() -> None:
    """Ours are websockets' own, and say where they are to be imported from."""
    assert issubclass(aio.ClientConnection, native_aio.ClientConnection)
    assert issubclass(sync.ClientConnection, native_sync.ClientConnection)
    assert issubclass(aio.connect, native_aio.connect)
    assert aio.connect is websockets.connect
    assert aio.connect.__module__ == "tieline.websockets.asyncio.client"
    if RECONNECTS:
        assert issubclass(sync.reconnect, native_sync.reconnect)


TYPED = [(aio.connect, native_aio.connect)]
if RECONNECTS:
    TYPED.append((sync.reconnect, native_sync.reconnect))


@pytest.mark.skipif(not NEWEST, reason="the hints are those of websockets 17.4")
@pytest.mark.parametrize(("ours", "theirs"), TYPED, ids=lambda cls: cls.__module__)
def test_the_hints_name_every_keyword(ours: Any, theirs: Any) -> None:
    """What a type checker sees of our constructor has every keyword of theirs, and three more."""
    tree = ast.parse(inspect.getsource(sys.modules[ours.connect.__module__]))
    hinted = next(
        node
        for branch in ast.walk(tree)
        if isinstance(branch, ast.ClassDef) and branch.name == ours.__name__
        for node in ast.walk(branch)
        if isinstance(node, ast.FunctionDef) and node.name == "__init__"
    )
    seen = {argument.arg for argument in (*hinted.args.args, *hinted.args.kwonlyargs)}
    native_names = set(inspect.signature(theirs.__init__).parameters) - {"kwargs"}
    assert seen - native_names == {"target", "policy", "on_reconnect"}
    assert native_names - seen == set()


@pytest.mark.parametrize("flavour", ["aio", "sync"])
@pytest.mark.parametrize("method", ["recv", "send", "ping", "pong", "close"])
def test_methods_take_what_they_took(flavour: str, method: str) -> None:
    """Each parameter of the native method is one of ours."""
    ours, theirs = (aio, native_aio) if flavour == "aio" else (sync, native_sync)
    mine = set(inspect.signature(getattr(ours.ClientConnection, method)).parameters)
    assert set(inspect.signature(getattr(theirs.ClientConnection, method)).parameters) <= mine
