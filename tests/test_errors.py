"""The hierarchy itself: its shape, its attributes, pickling and copying."""

# ruff: noqa: S301 - the pickles are our own

from __future__ import annotations

import copy
import inspect
import pickle
import re
import threading
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tieline
from tieline import errors
from tieline.endpoint import Endpoint
from tieline.errors import ConfigError, TielineError
from tieline.failure import Attempt, Failure, Kind, Phase, Safety

CLASSES = {
    name: value
    for name, value in vars(errors).items()
    if inspect.isclass(value) and issubclass(value, TielineError)
}
FAILURE = Failure(Phase.CONNECT, Kind.REFUSED, Safety.ALWAYS, "ECONNREFUSED", "refused")
FACTS = {
    "target": "orders-db",
    "endpoint": Endpoint("postgresql", "db", 5432),
    "failure": FAILURE,
    "attempts": (Attempt(1, Endpoint("postgresql", "db", 5432), FAILURE, 0.1, 0.0),),
    "elapsed": 0.1,
    "hint": "look there",
    "retry_after": 2.0,
    "maybe_applied": True,
    "errno": 111,
}
TREE_ROW = re.compile(r"^ {4}((?:[|` ] {3})*)(?:[|`]-- )?(\w+)(?: \((\w+)\))?(?: {2,}.*)?$")


def drawn() -> dict[str, tuple[str, str | None]]:
    """Class -> (parent, builtin base), as the module's docstring draws it."""
    rows: dict[str, tuple[str, str | None]] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = TREE_ROW.match(line)
        if found:
            depth = (len(line) - len(line.lstrip(" |`-"))) // 4 - 1
            del path[depth:]
            rows[found[2]] = (path[-1] if path else "Exception", found[3])
            path.append(found[2])
    return rows


def builtin_bases(cls: type) -> set[str]:
    """The bases that are Python's own."""
    return {base.__name__ for base in cls.__bases__ if base.__module__ == "builtins"}


def test_docstring_draws_the_real_tree() -> None:
    """The tree in the docstring is the one that `except` clauses see."""
    tree = {
        name: next(base.__name__ for base in cls.__bases__ if base is not ValueError)
        for name, cls in CLASSES.items()
    }
    assert {name: parent for name, (parent, _) in drawn().items()} == tree


@pytest.mark.parametrize("name", CLASSES)
def test_builtin_base_only_where_the_tree_shows_one(name: str) -> None:
    """A hidden OSError base changes who catches the error: servers, reconnect loops."""
    cls = CLASSES[name]
    _, shown = drawn()[name]
    expected = {"Exception"} if cls is TielineError else {shown} - {None}
    assert builtin_bases(cls) == expected
    inherited = any(drawn()[base.__name__][1] for base in cls.__mro__ if base.__name__ in drawn())
    assert issubclass(cls, OSError | ValueError) == inherited


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_is_public(name: str) -> None:
    """What can be raised can be named in an `except` clause without a private import."""
    assert getattr(tieline, name) is CLASSES[name]
    assert CLASSES[name].__module__ == "tieline"


@pytest.mark.parametrize("cls", CLASSES.values())
def test_attributes_default_and_take(cls: type[TielineError]) -> None:
    """Every fact is an attribute of every error, with a default where it is unknown."""
    bare, full = cls("gone"), cls("gone", **FACTS)
    for name, value in FACTS.items():
        assert hasattr(bare, name)
        assert getattr(full, name) == value
    assert bare.attempts == ()
    assert bare.errno is None
    assert str(bare) == str(full) == "gone"
    assert repr(full) == f"tieline.{cls.__name__}('gone')"


@pytest.mark.parametrize("cls", CLASSES.values())
def test_unknown_attribute_is_refused(cls: type[TielineError]) -> None:
    """A misspelt fact is an error, not an attribute nobody reads."""
    with pytest.raises(TypeError, match=r"retry_afterr|unexpected"):
        cls("gone", retry_afterr=1)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("cls", CLASSES.values())
def test_pickle_keeps_everything(cls: type[TielineError], protocol: int) -> None:
    """An error crosses a process boundary whole, notes included."""
    error = cls("gone", **FACTS)
    error.add_note("hint: look")
    back = pickle.loads(pickle.dumps(error, protocol))
    assert type(back) is cls
    assert str(back) == "gone"
    assert back.args == error.args
    assert vars(back) == vars(error)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
@pytest.mark.parametrize("cls", CLASSES.values())
def test_copy_keeps_everything(cls: type[TielineError], copied) -> None:
    """A copy is an error of its own with the same facts."""
    error = cls("gone", **FACTS)
    back = copied(error)
    assert back is not error
    assert type(back) is cls
    assert vars(back) == vars(error)


class Fussy(Exception):
    """Wants two arguments and keeps one: it can be pickled, and never loaded."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first + second)


@pytest.mark.parametrize("useless", [threading.Lock(), Fussy("a", "b")], ids=["lock", "fussy"])
def test_what_cannot_be_pickled_becomes_none(useless: object) -> None:
    """One bad attribute or argument must not cost the error, nor break the pool that loads it."""
    error = tieline.Aborted("gone", target="db")
    error.extra = useless  # type: ignore[attr-defined]
    error.args = ("gone", useless)
    back = pickle.loads(pickle.dumps(error))
    assert back.extra is None
    assert back.args == ("gone", None)
    assert back.target == "db"
    assert copy.copy(error).extra is useless  # type: ignore[attr-defined]


class Local(tieline.Refused):
    """A subclass of an application, with an initialiser of its own."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"{first} {second}", errno=111)


def test_subclass_with_its_own_initialiser_pickles() -> None:
    """Unpickling runs no `__init__`, whose arguments nobody knows."""
    back = pickle.loads(pickle.dumps(Local(1, 2)))
    assert type(back) is Local
    assert (str(back), back.errno) == ("1 2", 111)


def test_errno_is_where_oserror_keeps_it() -> None:
    """Code that reads `OSError.errno` from C gets the number, too."""
    error = tieline.Refused("gone", errno=111)
    assert OSError.errno.__get__(error) == 111  # type: ignore[attr-defined]
    back = pickle.loads(pickle.dumps(error))
    assert OSError.errno.__get__(back) == 111  # type: ignore[attr-defined]


def test_traceback_shows_the_public_name() -> None:
    """Users search for what they see: `tieline.Refused`, then the message, then the notes."""
    error = tieline.Refused("db is gone")
    error.add_note("hint: start it")
    assert "".join(traceback.format_exception_only(error)) == (
        "tieline.Refused: db is gone\nhint: start it\n"
    )


@given(st.lists(st.text(min_size=1), min_size=1).map(tuple))
def test_config_error_lists_every_problem(problems: tuple[str, ...]) -> None:
    """All problems are told at once, in the message and one by one."""
    error = ConfigError(problems=problems)
    assert error.problems == problems
    assert all(problem in str(error) for problem in problems)
    assert pickle.loads(pickle.dumps(error)).problems == problems


def test_config_error_of_one_message() -> None:
    """A plain message is its own single problem."""
    assert ConfigError("no host").problems == ("no host",)


@pytest.mark.parametrize(
    ("code", "number"),
    [("ECONNREFUSED", 111), ("57P03", None), ("EAI_AGAIN", None), ("", None), ("errorcode", None)],
)
def test_code_to_errno(code: str, number: int | None) -> None:
    """Only symbolic error numbers of the system become numbers."""
    assert errors.code_to_errno(code) == number


@pytest.mark.parametrize(
    ("endpoint", "text"),
    [
        (Endpoint("postgresql", "db", 5432), "postgresql://db:5432"),
        (Endpoint("https", "::1", 443), "https://[::1]:443"),
        (Endpoint("https", "api", None), "https://api"),
        (Endpoint("postgresql", "/run/pg", 5432), "postgresql:///run/pg:5432"),
        (Endpoint("postgresql", "/run/a:b", 5432), "postgresql:///run/a:b:5432"),
    ],
)
def test_endpoint_as_people_write_it(endpoint: Endpoint, text: str) -> None:
    """Brackets belong to IPv6 addresses, not to paths with a colon."""
    assert str(endpoint) == text


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("safety", Safety)
@pytest.mark.parametrize("applied", [False, True])
def test_sent_is_never_less_than_maybe_applied(phase: Phase, safety: Safety, applied: bool) -> None:
    """What may have been applied was sent; what provably was not, in no phase counts as sent."""
    failure = Failure(phase, Kind.EOF, safety, maybe_applied=applied)
    in_request = phase in (Phase.SEND, Phase.RECEIVE)
    assert failure.sent == (applied or (in_request and safety is not Safety.ALWAYS))
