"""`tieline.requests` has what requests has, under the same names and of the same shape."""

from __future__ import annotations

import importlib
import inspect
from types import ModuleType

import pytest
import requests as native
from requests import adapters as native_adapters

from tests.dropins.test_psycopg_exports import imports
from tests.engine.script import run
from tieline import requests
from tieline.requests import adapters
from tools import reexports

FUNCTIONS = ("delete", "get", "head", "options", "patch", "post", "put", "request")
REPLACED = {*FUNCTIONS, "HTTPAdapter", "Session", "session"}
"""Names that are ours."""

OTHERS = {"DependencyWarning", "FileModeWarning", "RequestsDependencyWarning"}
"""Warnings of requests that applications name, and that it does not list."""


@pytest.mark.parametrize("name", sorted({*native.__all__, *OTHERS, "__version__", "exceptions"}))
def test_every_name_is_there(name: str) -> None:
    """Every public name of requests is ours too: the very object, except those we replace."""
    ours = getattr(requests, name)
    if isinstance(ours, ModuleType):  # or that of ours of the same name, once it was imported
        assert ours.__name__ in {f"requests.{name}", f"tieline.requests.{name}"}
        return
    assert (ours is getattr(native, name)) == (name not in REPLACED)
    assert (name in requests.__all__) == (name in native.__all__)


def test_the_files_are_up_to_date() -> None:
    """The lines that are checked in are those that the generator writes."""
    if tuple(map(int, native.__version__.split(".")[:2])) != (2, 34):
        pytest.skip("they are written from requests 2.34")
    for path, text in reexports.render("requests").items():
        checked_in = (reexports.ROOT / "requests" / path).read_text()
        assert imports(checked_in) == imports(text)


@pytest.mark.parametrize("name", reexports.submodules(native))
def test_every_submodule_is_there(name: str) -> None:
    """Every public submodule can be imported from us, with every public name in it."""
    theirs = importlib.import_module(f"requests.{name}")
    ours = importlib.import_module(f"tieline.requests.{name}")
    for attribute in reexports.public_names(theirs):
        expected = vars(theirs).get(attribute)
        if expected is None or isinstance(expected, ModuleType):
            continue
        replaced = name in {"adapters", "api", "sessions"} and attribute in REPLACED
        assert (getattr(ours, attribute) is expected) == (not replaced)


def test_modules_with_ours_inside_are_ours() -> None:
    """`requests.adapters.HTTPAdapter`, read off the package, is ours as well."""
    source = """
        from tieline import requests
        from tieline.requests.adapters import HTTPAdapter
        assert requests.adapters.HTTPAdapter is HTTPAdapter
        assert requests.sessions.Session is requests.Session
        assert requests.api.get is requests.get
        """
    assert run(source).returncode == 0


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_have_their_signature(name: str) -> None:
    """The module functions take what requests' take, in the same order, with the same defaults."""
    ours = inspect.signature(getattr(requests, name)).parameters.values()
    theirs = inspect.signature(getattr(native, name)).parameters.values()
    assert [(p.name, p.kind, p.default) for p in ours] == [
        (p.name, p.kind, p.default) for p in theirs
    ]


@pytest.mark.parametrize(
    ("ours", "theirs", "more"),
    [
        (requests.Session, native.Session, ["target", "policy"]),
        (requests.Session.request, native.Session.request, []),
        (requests.Session.send, native.Session.send, []),
        (adapters.HTTPAdapter, native_adapters.HTTPAdapter, ["target", "policy"]),
        (adapters.HTTPAdapter.send, native_adapters.HTTPAdapter.send, []),
    ],
)
def test_signatures(ours: object, theirs: object, more: list[str]) -> None:
    """Parameters keep names and order; `target` and `policy`, by keyword, are all that is added."""
    assert callable(ours)
    assert callable(theirs)
    mine = list(inspect.signature(ours).parameters.values())
    before = list(inspect.signature(theirs).parameters.values())
    assert [p.name for p in mine] == [p.name for p in before] + more
    assert [p.kind for p in mine[: len(before)]] == [p.kind for p in before]
    assert all(p.kind is p.KEYWORD_ONLY for p in mine[len(before) :])


def test_classes_are_requests_own() -> None:
    """Sessions and adapters are subclasses; responses of doubles are of the class that we name."""
    assert issubclass(requests.Session, native.Session)
    assert issubclass(adapters.HTTPAdapter, native_adapters.HTTPAdapter)
    assert requests.Response is native.Response
