"""`import tieline`: what it loads, and what it offers."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import tieline
from tests.engine.script import run

TABLE = tieline._HOME  # noqa: SLF001 - the table is what is tested
HEAVY = {
    "asyncio",
    "click",
    "consul",
    "dataclasses",
    "logging",
    "msgspec",
    "opentelemetry",
    "psycopg",
    "psycopg_pool",
    "requests",
    "socket",
    "ssl",
    "threading",
    "urllib3",
    "websockets",
}


def modules_after(source: str) -> set[str]:
    """What a fresh Python has loaded after running the source."""
    result = run(f"{source}\nimport sys\nprint(*sys.modules)")
    assert result.returncode == 0, result.stderr
    return set(result.stdout.split())


def test_import_is_light() -> None:
    """Importing tieline loads no client, and none of the standard library's heavy modules."""
    loaded = modules_after("import tieline") - modules_after("import importlib")
    assert loaded & HEAVY == set()
    assert "tieline" in loaded
    assert {name for name in loaded if name.startswith("tieline.")} == set()


def test_a_name_loads_its_own_module_alone() -> None:
    """Catching an exception of ours needs no engine."""
    loaded = modules_after("import tieline\ntieline.Refused") - modules_after("import importlib")
    assert {name for name in loaded if name.startswith("tieline.")} == {"tieline.errors"}


@pytest.mark.parametrize("name", tieline.__all__)
def test_every_name_resolves(name: str) -> None:
    """Each public name is there, and its own module calls it the same."""
    value = getattr(tieline, name)
    assert getattr(sys.modules[TABLE[name]], name) is value
    assert vars(tieline)[name] is value


def test_names_are_loaded_once() -> None:
    """After the first use a name is an ordinary attribute."""
    result = run(
        """
        import tieline
        assert "Refused" not in vars(tieline)
        first = tieline.Refused
        assert vars(tieline)["Refused"] is first is tieline.Refused
        """
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_star_import() -> None:
    """`from tieline import *` brings every public name."""
    result = run("from tieline import *\nprint(Refused.__name__, guard.__name__)")
    assert result.stdout == "Refused guard\n"


def test_dir() -> None:
    """dir() shows what there is before it is loaded."""
    result = run("import tieline\nprint(*dir(tieline))")
    shown = result.stdout.split()
    assert set(tieline.__all__) <= set(shown)
    assert "__version__" in shown
    assert shown == sorted(shown)


@pytest.mark.parametrize("name", ["refused", "no_such_name", "errors_", "_HOMES"])
def test_unknown_attribute(name: str) -> None:
    """A name that is not there is an AttributeError that names it."""
    with pytest.raises(AttributeError, match=f"module 'tieline' has no attribute '{name}'"):
        getattr(tieline, name)
    assert not hasattr(tieline, name)


def test_unknown_import() -> None:
    """Importing it is an ImportError, as for any module."""
    with pytest.raises(ImportError, match="no_such_name"):
        from tieline import no_such_name  # noqa: F401 - it must fail


def test_three_lists_agree() -> None:
    """What type checkers see, what is loaded on first use, and __all__ are the same."""
    tree = ast.parse(Path(inspect.getfile(tieline)).read_text())
    seen = {
        alias.name: node.module
        for branch in tree.body
        if isinstance(branch, ast.If)
        for node in branch.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname == alias.name
    }
    assert seen == TABLE
    assert sorted(seen) == sorted(tieline.__all__)
    assert len(set(tieline.__all__)) == len(tieline.__all__)


def test_drop_ins_are_submodules() -> None:
    """`from tieline import psycopg` needs no entry in the table."""
    assert "psycopg" not in TABLE
    assert inspect.ismodule(__import__("tieline.psycopg", fromlist=["psycopg"]))


def test_version_is_that_of_the_package() -> None:
    """The version is written in two places that agree."""
    project = Path(inspect.getfile(tieline)).parents[2] / "pyproject.toml"
    assert f'version = "{tieline.__version__}"' in project.read_text()


def test_warning_free() -> None:
    """Importing it raises no warning, even with all of them on."""
    result = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", "import tieline; tieline.guard"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
