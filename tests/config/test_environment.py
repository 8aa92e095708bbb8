"""How the environment is read: when, from which files, and what it costs."""

from __future__ import annotations

import os
import threading
import traceback
from typing import TYPE_CHECKING

import pytest

import tieline
from tests.config.test_resolve import problems
from tests.engine.script import run
from tieline import config
from tieline.config import environment, values
from tieline.config import resolve as resolving

if TYPE_CHECKING:
    from pathlib import Path

DSN = "TIELINE_TARGETS__ORDERS_DB__DSN"
FILE = f"{DSN}_FILE"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that the variable names; not there yet."""
    path = tmp_path / "dsn"
    monkeypatch.setenv(FILE, str(path))
    return path


def dsn() -> str | None:
    """The DSN as a new client has it."""
    return config.resolve("psycopg", "orders-db").dsn


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("host=a", "host=a"),
        ("host=a\n", "host=a"),
        ("host=a\r\n", "host=a"),
        ("host=a\n\n", "host=a\n"),
        (" host=a ", " host=a "),
    ],
)
def test_file(content: str, found: str, file: Path) -> None:
    """A secret may be in a file, whose last line may have an end."""
    file.write_bytes(content.encode())
    assert dsn() == found
    assert str(config.resolve("psycopg", "orders-db").origins["dsn"]) == FILE


def test_rotation(file: Path) -> None:
    """A file is read anew for every client: by the next one a new secret is found."""
    for host in ("a", "b", "c"):
        file.write_text(f"host={host}")
        assert dsn() == f"host={host}"


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, "No such file or directory"),
        (b"", "empty"),
        (b"\n", "empty"),
        (b"\xff\xfe", "not valid UTF-8"),
        (b"x" * 70000, "larger than 65536 bytes"),
    ],
)
def test_bad_file(content: bytes | None, fault: str, file: Path) -> None:
    """A file that gives nothing is told with variable and path."""
    if content is not None:
        file.write_bytes(content)
    assert problems() == (f"{FILE}='{file}': {fault}",)


def test_folder(file: Path) -> None:
    """A folder is no file."""
    file.mkdir()
    assert problems() == (f"{FILE}='{file}': not a file",)


def test_pipe(file: Path) -> None:
    """A pipe that nobody writes to makes nobody wait."""
    os.mkfifo(file)
    assert problems() == (f"{FILE}='{file}': not a file",)


def test_both(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret in the variable and in a file: nobody can tell which one is meant."""
    file.write_text("host=a")
    monkeypatch.setenv(DSN, "host=b")
    assert problems() == (f"{DSN} and {FILE} are both set: keep one of them",)


def test_secret_in_place_of_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who puts the secret itself where the path should be does not read it in a log."""
    monkeypatch.setenv(FILE, "postgresql://app:geheim@db/app")
    (problem,) = problems()
    assert problem == f"{FILE}=(not shown, no absolute path): No such file or directory"


def test_files_of_others_are_not_read(file: Path) -> None:
    """A file of another target may be missing."""
    assert not file.exists()
    assert config.resolve("psycopg", "billing").dsn is None


def test_changes_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables are read when a client is built, and not before."""
    for attempts in ("5", "6", "5"):
        monkeypatch.setenv("TIELINE_RETRY__MAX_ATTEMPTS", attempts)
        found = config.resolve("psycopg", "orders-db")
        assert found.policy.retry.max_attempts == int(attempts)
    monkeypatch.delenv("TIELINE_RETRY__MAX_ATTEMPTS")
    assert config.resolve("psycopg", "orders-db").policy.retry.max_attempts == 4


def test_nothing_is_read_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as nothing has changed the answer is the one that is known."""
    monkeypatch.setenv("TIELINE_RETRY__MAX_ATTEMPTS", "5")
    first = config.resolve("psycopg", "orders-db")
    monkeypatch.setattr(values, "value", None)
    monkeypatch.setattr(environment, "Environment", None)
    assert config.resolve("psycopg", "orders-db") is first


def test_another_mapping(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that put a plain dictionary in the place of os.environ are understood."""
    monkeypatch.setattr(os, "environ", {"TIELINE_RETRY__MAX_ATTEMPTS": "5"})
    assert config.resolve("psycopg").policy.retry.max_attempts == 5


def test_cache_is_bounded() -> None:
    """Any number of names, policies and secrets is forgotten again."""
    for number in range(600):
        config.resolve("guard", f"t{number}")
    assert resolving.__module__ == "tieline.config.resolve"
    from tieline.config.resolve import _resolved

    assert _resolved.cache_info().currsize <= 256


def test_bytes_that_are_no_utf8(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are a problem like any other: told with the variable, without the value, beside the rest."""
    for name in ("CALL_TIMEOUT", "BACKOFF__JITTER", "BUDGET", "RETRY__MAX_ATTEMPTS", "ENABLED"):
        monkeypatch.setenv(f"TIELINE_{name}", os.fsdecode(b"geheim\xff"))
    monkeypatch.setenv("TIELINE_BREAKER__FAILURES", "0")
    with pytest.raises(tieline.ConfigError) as caught:
        config.resolve("psycopg", "orders-db")
    begun = [problem.partition(": must be ")[0] for problem in caught.value.problems]
    hidden = "(not shown, it may hold a password)"
    assert sorted(begun) == [
        f"TIELINE_BACKOFF__JITTER={hidden}",
        "TIELINE_BREAKER__FAILURES='0'",
        f"TIELINE_BUDGET={hidden}",
        f"TIELINE_CALL_TIMEOUT={hidden}",
        f"TIELINE_ENABLED={hidden}",
        f"TIELINE_RETRY__MAX_ATTEMPTS={hidden}",
    ]
    assert "geheim" not in "".join(traceback.format_exception(caught.value))


def test_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """While one thread changes a variable, the others get the value before or the one after."""
    monkeypatch.setenv("TIELINE_RETRY__MAX_ATTEMPTS", "5")
    seen: set[int | None] = set()
    errors: list[BaseException] = []
    done = threading.Event()

    def look() -> None:
        try:
            while not done.is_set():
                seen.add(config.resolve("psycopg", "orders-db").policy.retry.max_attempts)
        except BaseException as error:  # noqa: BLE001 - told below
            errors.append(error)

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(300):
        monkeypatch.setenv("TIELINE_RETRY__MAX_ATTEMPTS", "56"[number % 2])
        if number % 3:
            monkeypatch.setenv("TIELINE_CALL_TIMEOUT", str(number + 9))
        else:
            monkeypatch.delenv("TIELINE_CALL_TIMEOUT", raising=False)
    done.set()
    for thread in threads:
        thread.join()
    assert errors == []
    assert seen <= {5, 6}
    assert seen


def test_nothing_happens_at_import() -> None:
    """Importing reads no variable, and msgspec is loaded only where there is something to read."""
    result = run(
        """
        import os, sys
        os.environ["TIELINE_ENABLED"] = "nonsense"
        os.environ["TIELINE_NO_SUCH"] = "x"
        import tieline
        from tieline import config, psycopg

        @tieline.guard("orders-db")
        def call():
            return 1

        del os.environ["TIELINE_ENABLED"], os.environ["TIELINE_NO_SUCH"]
        assert call() == 1
        assert "msgspec" not in sys.modules
        os.environ["TIELINE_RETRY__MAX_ATTEMPTS"] = "9"
        assert config.resolve("psycopg").policy.retry.max_attempts == 9
        assert "msgspec" in sys.modules
        """
    )
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_fork() -> None:
    """A child reads its own environment."""
    result = run(
        """
        import os
        from tieline import config
        os.environ["TIELINE_RETRY__MAX_ATTEMPTS"] = "5"
        assert config.resolve("psycopg").policy.retry.max_attempts == 5
        child = os.fork()
        if not child:
            os.environ["TIELINE_RETRY__MAX_ATTEMPTS"] = "6"
            os._exit(config.resolve("psycopg").policy.retry.max_attempts)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 6
        assert config.resolve("psycopg").policy.retry.max_attempts == 5
        """
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_warnings_may_be_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    """A filter that turns warnings into errors does so here, with no secret in it."""
    import warnings

    monkeypatch.setattr(environment, "_warned", set())
    monkeypatch.setenv("TIELINE_TARGETS__ORDERS_DB__DNS", "host=db password=geheim")
    with warnings.catch_warnings():
        warnings.simplefilter("error", tieline.ConfigWarning)
        with pytest.raises(tieline.ConfigWarning, match=r"did you mean .*__DSN") as caught:
            config.resolve("psycopg")
    assert "geheim" not in repr(caught.value)
