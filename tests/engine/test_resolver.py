"""Name resolution in a few shared threads. getaddrinfo is the outside here, and played."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.engine.script import run
from tieline.engine import resolver
from tieline.engine.resolver import MAX_THREADS, Resolver

PATIENCE = 20.0


def entries(*addresses: str) -> list:
    """What getaddrinfo returns for these addresses."""
    return [
        (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, 0))
        for address in addresses
    ]


class Names:
    """A name service whose names with "slow" in them answer when told."""

    def __init__(self) -> None:
        self.answer = threading.Event()
        self.asked = threading.Semaphore(0)
        self.threads: set[threading.Thread] = set()
        self.questions: list[str] = []

    def getaddrinfo(self, host: str, port: int | None, **_hints: object) -> list:
        """Answer; the slow ones when told."""
        self.threads.add(threading.current_thread())
        self.questions.append(host)
        self.asked.release()
        if "slow" in host:
            assert self.answer.wait(PATIENCE)
        if "gone" in host:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return entries("10.0.0.1", "10.0.0.2", "10.0.0.1")


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch):
    """The played name service, in place of the real one."""
    names = Names()
    monkeypatch.setattr(socket, "getaddrinfo", names.getaddrinfo)
    yield names
    names.answer.set()


def test_answers_in_order_without_repetition(names: Names) -> None:
    """Addresses come in the system's order, each once."""
    assert Resolver().resolve("db", 5432, 5) == ["10.0.0.1", "10.0.0.2"]


def test_asks_for_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    """The question names host, port and TCP, so that each address comes once."""
    seen = []

    def getaddrinfo(*args: object, **kwargs: object) -> list:
        seen.append((args, kwargs))
        return entries("10.0.0.1")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    Resolver().resolve("db", 5432, None)
    hints = {"type": socket.SOCK_STREAM, "proto": socket.IPPROTO_TCP}
    assert seen == [(("db", 5432), hints)]


@pytest.mark.parametrize("error", [socket.gaierror(socket.EAI_NONAME, "?"), UnicodeError("label")])
def test_errors_arrive(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """What getaddrinfo raises is raised to the caller, and the thread serves on."""
    answers = [error, None]

    def getaddrinfo(*_args: object, **_kwargs: object) -> list:
        answer = answers.pop(0)
        if answer is not None:
            raise answer
        return entries("10.0.0.1")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    line = Resolver()
    with pytest.raises(type(error)) as caught:
        line.resolve("db", None, 5)
    assert caught.value is error
    assert line.resolve("db", None, 5) == ["10.0.0.1"]


@pytest.mark.parametrize("timeout", [0.0, 0.01])
def test_caller_leaves_at_its_time(names: Names, timeout: float) -> None:
    """A caller whose time is up goes on although getaddrinfo hangs."""
    with pytest.raises(TimeoutError, match="no answer from name resolution in"):
        Resolver().resolve("slow", 5432, timeout)
    assert not names.answer.is_set()


def test_four_threads_at_most(names: Names) -> None:
    """Any number of questions that hang hold four threads; the rest wait in line."""
    line = Resolver()
    for _ in range(3 * MAX_THREADS):
        with pytest.raises(TimeoutError):
            line.resolve("slow", None, 0)
    for _ in range(MAX_THREADS):
        assert names.asked.acquire(timeout=PATIENCE)
    assert len(names.threads) == MAX_THREADS == 4
    assert all(thread.daemon for thread in names.threads)
    assert all(thread.name.startswith("tieline-resolver-") for thread in names.threads)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(line.resolve, "db", None, PATIENCE)
        names.answer.set()
        assert waiting.result() == ["10.0.0.1", "10.0.0.2"]
    assert len(names.threads) == MAX_THREADS


def test_questions_nobody_waits_for_are_not_asked(names: Names) -> None:
    """A caller that left before its turn costs the name service nothing."""
    line = Resolver()
    for _ in range(MAX_THREADS):
        with pytest.raises(TimeoutError):
            line.resolve("slow", None, 0)
    for _ in range(MAX_THREADS):
        assert names.asked.acquire(timeout=PATIENCE)
    with pytest.raises(TimeoutError):
        line.resolve("left", None, 0)
    names.answer.set()
    assert line.resolve("db", None, PATIENCE)
    assert "left" not in names.questions


def test_one_question_at_a_time_needs_one_thread(names: Names) -> None:
    """Threads are started only for questions that none is free for."""
    line = Resolver()
    for _ in range(50):
        line.resolve("db", None, PATIENCE)
    assert len(names.threads) == 1


def test_a_question_never_waits_behind_a_hanging_one(names: Names) -> None:
    """While fewer than four questions hang, the next one is answered at once."""
    for _ in range(30):
        line = Resolver()
        assert line.resolve("warm-up", None, PATIENCE)
        for _ in range(MAX_THREADS - 1):
            with pytest.raises(TimeoutError):
                line.resolve("slow", None, 0)
            assert line.resolve("db", None, PATIENCE)
    assert not names.answer.is_set()


def test_a_thread_that_cannot_be_started(names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the system gives no thread the caller is told, and the next one tries again."""
    line = Resolver()

    def start(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        with pytest.raises(RuntimeError):
            line.resolve("db", None, PATIENCE)
    assert line.resolve("db", None, PATIENCE) == ["10.0.0.1", "10.0.0.2"]


def test_many_callers(names: Names) -> None:
    """Everybody gets the answer to their own question."""
    line = Resolver()
    with ThreadPoolExecutor(16) as pool:
        good = [pool.submit(line.resolve, "db", None, PATIENCE) for _ in range(100)]
        bad = [pool.submit(line.resolve, "gone", None, PATIENCE) for _ in range(100)]
        assert all(future.result() == ["10.0.0.1", "10.0.0.2"] for future in good)
        assert all(isinstance(future.exception(), socket.gaierror) for future in bad)


def test_a_task_is_answered(names: Names) -> None:
    """A task has addresses and errors as a thread has, and the loop goes on meanwhile."""

    async def main() -> None:
        slow = asyncio.ensure_future(line.resolve_async("slow", 5432, None))
        assert await line.resolve_async("db", 5432, 5) == ["10.0.0.1", "10.0.0.2"]
        with pytest.raises(socket.gaierror):
            await line.resolve_async("gone", 5432, 5)
        assert not slow.done()
        names.answer.set()
        assert await slow == ["10.0.0.1", "10.0.0.2"]

    line = Resolver()
    asyncio.run(main())


@pytest.mark.parametrize("timeout", [0.0, 0.01])
def test_a_task_leaves_at_its_time(names: Names, timeout: float) -> None:
    """A task whose time is up goes on; a timeout around it stays the caller's."""

    async def main() -> None:
        with pytest.raises(TimeoutError, match="no answer from name resolution in"):
            await line.resolve_async("slow", 5432, timeout)
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(timeout):
                await line.resolve_async("slow", 5432, 20)
        assert str(caught.value) == ""

    line = Resolver()
    asyncio.run(main())


def test_a_cancelled_task_asks_nothing(names: Names) -> None:
    """A task that is cancelled before its turn costs the name service nothing."""

    async def main() -> None:
        hanging = [asyncio.ensure_future(line.resolve_async("slow", 1, None)) for _ in range(4)]
        await asyncio.sleep(0)
        left = asyncio.ensure_future(line.resolve_async("left", 1, None))
        await asyncio.sleep(0)
        left.cancel()
        with pytest.raises(asyncio.CancelledError):
            await left
        names.answer.set()
        await asyncio.gather(*hanging)
        assert await line.resolve_async("db", 1, None)

    line = Resolver()
    asyncio.run(main())
    assert "left" not in names.questions


def test_an_answer_after_the_loop_has_closed(names: Names) -> None:
    """Nobody waits for it any more, and the threads that bring it serve on."""

    async def main() -> None:
        asking = [
            asyncio.ensure_future(line.resolve_async("slow", 1, None)) for _ in range(MAX_THREADS)
        ]
        await asyncio.sleep(0)
        for task in asking:
            # A thread has taken the question before its asker is gone.
            assert names.asked.acquire(timeout=PATIENCE)
            task.cancel()
        await asyncio.wait(asking)

    line = Resolver()
    asyncio.run(main())
    names.answer.set()
    assert line.resolve("db", 1, PATIENCE) == ["10.0.0.1", "10.0.0.2"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_after_a_fork() -> None:
    """A child, where the parent's threads are not, resolves with threads of its own."""
    result = run(
        """
        import os, signal, socket, threading
        from tieline.engine import resolver

        hang = threading.Event()

        def getaddrinfo(host, port, **hints):
            if host == "slow":
                hang.wait()
            return [(2, 1, 6, "", ("10.0.0.1", 0))]

        socket.getaddrinfo = getaddrinfo
        for _ in range(8):
            try:
                resolver.shared.resolve("slow", None, 0)
            except TimeoutError:
                pass
        # As if some thread had been at it in that moment.
        resolver.shared._lock.acquire()
        child = os.fork()
        if not child:
            signal.alarm(10)
            assert resolver.shared.resolve("db", None, None) == ["10.0.0.1"]
            os._exit(0)
        resolver.shared._lock.release()
        status = os.waitpid(child, 0)[1]
        hang.set()
        raise SystemExit(os.waitstatus_to_exitcode(status))
        """
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_the_real_thing() -> None:
    """The system resolves its own name."""
    assert set(resolver.shared.resolve("localhost", 80, PATIENCE)) <= {"127.0.0.1", "::1"}
