"""Every server does what its handle says, whatever it is and whatever runs it."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from integration.services.app import HTTP, WEBSOCKET
from integration.services.app_local import LocalApp
from integration.services.postgres import PostgresService
from integration.services.silence import Silence

if TYPE_CHECKING:
    from collections.abc import Callable

    from integration.services.service import Service

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parent.parent
HTTP_REQUEST = b"GET /v1/status/leader HTTP/1.1\r\nHost: here\r\n\r\n"
SSL_REQUEST = bytes.fromhex("0000000804d2162f")


def refusal(service: Service) -> int:
    """The errno of a connection attempt; 0 for none."""
    with socket.socket() as client:
        return client.connect_ex(service.address)


def connect(service: Service) -> socket.socket:
    """A connection on which silence is noticed soon."""
    return socket.create_connection(service.address, timeout=0.3)


def greet(client: socket.socket, service: Service) -> None:
    """Say what it answers in one way or the other."""
    client.sendall(SSL_REQUEST if isinstance(service, PostgresService) else HTTP_REQUEST)


def answers(service: Service) -> bool:
    """Whether it answers somebody new."""
    with connect(service) as client:
        client.settimeout(5)
        greet(client, service)
        return client.recv(1) in {b"N", b"H"}


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for what happens in its own time."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_only_loopback_reaches_it(service: Service) -> None:
    """It listens on 127.0.0.1, and on no other address of this machine."""
    host, port = service.address
    assert host == "127.0.0.1"
    listening = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *_ = line.split()
            address, _, number = local.partition(":")
            if (state, int(number, 16)) == ("0A", port):
                listening.add(address)
    assert listening == {"0100007F"}


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_an_end_refuses_and_a_start_answers(service: Service, end: str) -> None:
    """Once it is stopped or killed the port refuses; started, the same port answers."""
    address = service.address
    getattr(service, end)()
    assert not service.running
    assert [refusal(service) for _ in range(50)] == [errno.ECONNREFUSED] * 50
    before = time.monotonic()
    ready = service.start()
    assert before < ready <= time.monotonic()
    assert service.running
    assert service.address == address
    assert answers(service)


def test_a_pause_is_silence(service: Service) -> None:
    """Paused it takes connections and says nothing; resumed it answers what was asked meanwhile."""
    service.pause()
    with connect(service) as client:
        greet(client, service)
        with pytest.raises(TimeoutError):
            client.recv(1)
        assert service.running
        service.resume()
        client.settimeout(5)
        assert client.recv(1)


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_a_paused_one_can_be_ended(service: Service, end: str) -> None:
    """Both ends work on what is paused, and it starts again."""
    service.pause()
    getattr(service, end)()
    assert refusal(service) == errno.ECONNREFUSED
    service.start()
    assert answers(service)


@pytest.mark.cut
def test_a_cut_loses_every_packet(service: Service) -> None:
    """Cut off, nobody gets in and what is open hangs; mended, what was sent meanwhile is answered."""
    with connect(service) as client:
        service.cut()
        greet(client, service)
        with pytest.raises(TimeoutError):
            client.recv(1)
        with pytest.raises(TimeoutError):
            connect(service)
        assert service.running
        service.mend()
        client.settimeout(10)
        assert client.recv(1)
    assert answers(service)


@pytest.mark.cut
def test_a_cut_ends_with_its_process() -> None:
    """A test run that is killed leaves no rule of a firewall behind."""
    script = """
        import os, signal, sys
        from integration.services.silence import Silence

        silence = Silence(("127.0.0.1", int(sys.argv[1])))
        print("cut", flush=True)
        sys.stdin.read()
    """
    with LocalApp(HTTP) as service:
        with subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(script), str(service.port)],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout
            assert process.stdout.readline() == "cut\n"
            with pytest.raises(TimeoutError):
                connect(service)
            process.kill()
        wait_until(lambda: refusal(service) == 0)
        assert answers(service)


@pytest.mark.cut
def test_a_cut_that_cannot_be_made() -> None:
    """What nft refuses is an error that says so, and nothing is cut."""
    with pytest.raises(RuntimeError, match="nft said"):
        Silence(("nonsense", 1))


def test_what_has_no_sense_is_an_error(service: Service) -> None:
    """A running server cannot be started, and one that does not run can only be started."""
    with pytest.raises(RuntimeError, match="running already"):
        service.start()
    service.kill()
    for operation in (service.stop, service.kill, service.pause, service.resume):
        with pytest.raises(RuntimeError, match="not running"):
            operation()
    with pytest.raises(RuntimeError, match="not running"):
        service.wait_until_ready()


@pytest.mark.parametrize("last", ["pause", "kill"])
@pytest.mark.parametrize("app", [HTTP, WEBSOCKET], ids=lambda app: app.name)
def test_a_local_one_leaves_nothing(app, last: str) -> None:
    """Exit removes process, directory and reservation, whatever came before."""
    descriptors = set(Path("/proc/self/fd").iterdir())
    with LocalApp(app) as service:
        home = service._home  # noqa: SLF001 - nothing shows it
        process = Path("/proc") / (home / "pid").read_text()
        assert process.exists()
        getattr(service, last)()
    assert not home.exists()
    assert not process.exists()
    assert refusal(service) == errno.ECONNREFUSED
    assert set(Path("/proc/self/fd").iterdir()) == descriptors
    service.close()


def test_a_local_one_does_not_outlive_its_process() -> None:
    """A run that is killed takes its servers with it, even one that is paused."""
    script = """
        import os, signal
        from integration.services.app import HTTP
        from integration.services.app_local import LocalApp

        with LocalApp(HTTP) as service:
            service.pause()
            print(service._home, (service._home / "pid").read_text(), flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    home, pid = done.stdout.split()
    wait_until(lambda: not Path(home).exists())
    command = Path("/proc") / pid / "cmdline"
    wait_until(lambda: not command.exists() or not command.read_bytes())
