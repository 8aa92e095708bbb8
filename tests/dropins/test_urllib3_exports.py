"""`tieline.urllib3` has what urllib3 has, under the same names and of the same shape."""

from __future__ import annotations

import ast
import importlib
import inspect
from types import ModuleType

import pytest
import urllib3 as native

from tests.dropins.test_psycopg_exports import imports
from tests.engine.script import run
from tieline import urllib3
from tools import reexports

REPLACED = {
    "HTTPConnectionPool",
    "HTTPSConnectionPool",
    "PoolManager",
    "ProxyManager",
    "connection_from_url",
    "proxy_from_url",
    "request",
}
"""Names that are ours."""

CLASSES = sorted(name for name in REPLACED if name[0].isupper())

# What needs a package that may be missing, or a browser.
ELSEWHERE = ("contrib.emscripten", "contrib.pyopenssl", "contrib.socks", "http2")

SUBMODULES = [name for name in reexports.submodules(native) if not name.startswith(ELSEWHERE)]

OURS_INSIDE = ("connectionpool", "poolmanager")


@pytest.mark.parametrize("name", sorted({*native.__all__, "__version__", "exceptions", "util"}))
def test_every_name_is_there(name: str) -> None:
    """Every public name of urllib3 is ours too: the very object, except those we replace."""
    ours = getattr(urllib3, name)
    if isinstance(ours, ModuleType):
        assert ours.__name__ in {f"urllib3.{name}", f"tieline.urllib3.{name}"}
        return
    assert (ours is getattr(native, name)) == (name not in REPLACED)
    assert (name in urllib3.__all__) == (name in native.__all__)


def test_the_files_are_up_to_date() -> None:
    """The lines that are checked in are those that the generator writes."""
    if tuple(map(int, native.__version__.split(".")[:2])) != (2, 8):
        pytest.skip("they are written from urllib3 2.8")
    for path, text in reexports.render("urllib3").items():
        checked_in = (reexports.ROOT / "urllib3" / path).read_text()
        assert imports(checked_in) == imports(text)


@pytest.mark.parametrize("name", SUBMODULES)
def test_every_submodule_is_there(name: str) -> None:
    """Every public submodule can be imported from us, with every public name in it."""
    theirs = importlib.import_module(f"urllib3.{name}")
    ours = importlib.import_module(f"tieline.urllib3.{name}")
    for attribute in getattr(theirs, "__all__", None) or reexports.public_names(theirs):
        expected = vars(theirs).get(attribute)
        if expected is None or isinstance(expected, ModuleType):
            continue
        replaced = name in OURS_INSIDE and attribute in REPLACED
        wanted = getattr(urllib3, attribute) if replaced else expected
        assert getattr(ours, attribute) is wanted


def test_modules_with_ours_inside_are_ours() -> None:
    """`urllib3.poolmanager.PoolManager`, read off the package, is ours as well."""
    source = """
        from tieline import urllib3
        assert urllib3.poolmanager.PoolManager is urllib3.PoolManager
        assert urllib3.connectionpool.HTTPConnectionPool is urllib3.HTTPConnectionPool
        """
    assert run(source).returncode == 0


@pytest.mark.parametrize("name", CLASSES)
def test_subclasses_of_the_native_classes(name: str) -> None:
    """Ours is a native one, with our module's name, and so is each base that is replaced."""
    ours, theirs = getattr(urllib3, name), getattr(native, name)
    assert issubclass(ours, theirs)
    assert ours.__module__ == "tieline.urllib3"
    for base in theirs.__mro__:
        if base.__name__ in REPLACED:
            assert issubclass(ours, getattr(urllib3, base.__name__))


@pytest.mark.parametrize("name", CLASSES)
def test_constructors_take_what_the_native_ones_take(name: str) -> None:
    """The parameters are urllib3's, in its order, and `target` and `policy` by keyword alone."""
    ours = inspect.signature(getattr(urllib3, name)).parameters
    theirs = inspect.signature(getattr(native, name)).parameters
    added = {key: ours[key] for key in ours if key not in theirs}
    assert set(added) == {"target", "policy"}
    assert all(each.kind is inspect.Parameter.KEYWORD_ONLY for each in added.values())
    kept = [(each.name, each.kind, each.default) for each in ours.values() if each.name in theirs]
    assert kept == [(each.name, each.kind, each.default) for each in theirs.values()]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (urllib3.HTTPConnectionPool.urlopen, native.HTTPConnectionPool.urlopen),
        (urllib3.PoolManager.urlopen, native.PoolManager.urlopen),
        (urllib3.PoolManager.connection_from_host, native.PoolManager.connection_from_host),
        (urllib3.request, native.request),
        (urllib3.proxy_from_url, native.proxy_from_url),
        (urllib3.connection_from_url, native.connection_from_url),
    ],
    ids=lambda function: function.__qualname__,
)
def test_functions_take_what_the_native_ones_take(ours: object, theirs: object) -> None:
    """Names, order, kinds and defaults of parameters are those of urllib3."""

    def shape(function: object) -> list[tuple[object, ...]]:
        found = inspect.signature(function).parameters.values()
        return [(each.name, each.kind, each.default) for each in found]

    assert shape(ours) == shape(theirs)


def test_no_native_exception_is_named_in_the_drop_in() -> None:
    """What an error of urllib3's means stands in `tieline.rules`, and nowhere else."""
    named = set()
    for path in (reexports.ROOT / "urllib3").glob("_*.py"):
        if path.name != "__init__.py":
            tree = ast.parse(path.read_text())
            named |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
            named |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    exceptions = {
        name
        for name, value in vars(native.exceptions).items()
        if inspect.isclass(value) and issubclass(value, native.exceptions.HTTPError)
    }
    # That one is Python's own name as well, and raised as such.
    assert named & exceptions <= {"TimeoutError", "ConnectionError"}
