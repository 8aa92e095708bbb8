"""What a run keeps in the engine goes with it, and a machine without an engine is told so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from integration.servers import image_of
from integration.services import engine
from integration.services.app import HTTP
from integration.services.app_container import ContainerApp
from integration.services.engine import LABEL, EngineSession
from integration.services.images import CONSUL

if TYPE_CHECKING:
    from integration.servers import Servers
    from integration.services.app import AppService

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parent.parent
SCRIPT = """
    import os, signal
    from integration.servers import Servers

    servers = Servers()
    print(servers.get("http-container").port, flush=True)
    print(servers.session.labels, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
NOWHERE = "unix:///nonexistent"
ONE_TEST = "integration/test_apps.py::test_http_repeats_and_notes"


def owned(session: str) -> tuple[int, int]:
    """Containers and networks of a session."""
    wanted = {"label": f"{LABEL}={session}"}
    with closing(engine.connect()) as client:
        return (
            len(client.containers.list(all=True, filters=wanted)),
            len(client.networks.list(filters=wanted)),
        )


def pytest_run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A run of pytest on its own."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=ROOT,
        env=os.environ | {"TIELINE_REQUIRE_INTEGRATION": ""} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


@pytest.fixture
def container(servers: Servers) -> AppService:
    """A container of this run."""
    return servers.get("http-container")


def test_a_session_leaves_nothing(container: AppService, servers: Servers) -> None:
    """At its end containers and network are removed, paused ones too, and nobody else's."""
    with EngineSession() as session:
        label = session.labels[LABEL]
        with ContainerApp(session, servers.app_image, HTTP) as service:
            service.pause()
            assert owned(label) == (1, 1)
            # As the end of another session does.
            assert engine.sweep()
            assert owned(label) == (1, 1)
    assert owned(label) == (0, 0)
    assert not Path(label).exists()
    assert container.running
    assert owned(servers.session.labels[LABEL])[1] == 1


@pytest.mark.usefixtures("container")
def test_a_killed_run_leaves_nothing() -> None:
    """A run that is killed has its containers removed all the same."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    label = done.stdout.split("'")[3]
    deadline = time.monotonic() + 20
    while owned(label) != (0, 0):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_without_an_engine() -> None:
    """Local processes carry what they can; the rest is named at the end, with the reason."""
    done = pytest_run(ONE_TEST, DOCKER_HOST=NOWHERE)
    assert done.returncode == 0, done.stdout
    assert "1 passed, 1 skipped" in done.stdout
    assert "real: HTTP service, local process" in done.stdout
    assert (
        f"not run: 1 tests, as no Docker engine answers at {NOWHERE}:\n  {ONE_TEST}\n"
        in done.stdout
    )


def test_an_engine_elsewhere() -> None:
    """An engine of another machine would publish its ports there: it is not asked at all."""
    done = pytest_run(ONE_TEST, DOCKER_HOST="tcp://engine.invalid:2375")
    assert "1 passed, 1 skipped" in done.stdout
    assert "the Docker engine at engine.invalid publishes its ports there" in done.stdout


def test_without_an_engine_where_it_is_required() -> None:
    """Nothing runs, and one sentence says why."""
    done = pytest_run("integration", DOCKER_HOST=NOWHERE, TIELINE_REQUIRE_INTEGRATION="1")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    (said,) = [line for line in done.stdout.splitlines() if line.startswith("ERROR")]
    assert said.count(NOWHERE) == 1
    assert "integration is required" in said
    assert "Traceback" not in done.stdout
    assert " passed" not in done.stdout


def test_what_needs_no_server_is_not_held_up() -> None:
    """Where integration is required, tests that need no server still run without one."""
    done = pytest_run(
        "integration/test_services.py::test_a_local_one_does_not_outlive_its_process",
        DOCKER_HOST=NOWHERE,
        TIELINE_REQUIRE_INTEGRATION="1",
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.usefixtures("container")
def test_an_engine_in_use_is_not_ended() -> None:
    """While tests use the engine, `down` leaves it and them alone."""
    done = subprocess.run(
        [sys.executable, "-m", "integration", "down"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "tests use the engine" in done.stdout
    assert engine.unreachable() is None


def test_another_image(container: AppService) -> None:
    """A variable names the image that a server is made from, and the end of the run shows it."""
    image, _, tag = "tieline-another:1".partition(":")
    with closing(engine.connect()) as client:
        client.images.get(image_of(CONSUL)).tag(image, tag)
        try:
            done = pytest_run(
                "integration/test_consul.py::test_it_is_frozen[consul-container]",
                INTEGRATION_CONSUL_IMAGE=f"{image}:{tag}",
            )
        finally:
            client.images.remove(f"{image}:{tag}")
    assert done.returncode == 0, done.stdout
    assert f"container of {image}:{tag}; tests: 1" in done.stdout
    assert container.running


@pytest.mark.usefixtures("container")
def test_an_image_that_is_not_there() -> None:
    """A variable that names nothing is named itself, with what it says."""
    variable = {"INTEGRATION_POSTGRES_IMAGE": "127.0.0.1:1/nothing:1"}
    done = pytest_run(
        "integration/test_postgres_service.py::test_log",
        TIELINE_REQUIRE_INTEGRATION="1",
        **variable,
    )
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "no image of PostgreSQL (127.0.0.1:1/nothing:1)" in done.stdout
    done = subprocess.run(
        [sys.executable, "-m", "integration", "up"],
        cwd=ROOT,
        env=os.environ | variable,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    (said,) = done.stderr.splitlines()
    assert "INTEGRATION_POSTGRES_IMAGE names 127.0.0.1:1/nothing:1" in said


@pytest.mark.parametrize("command", ["up", "run"])
def test_provision_says_what_is_missing(command: str) -> None:
    """An engine that DOCKER_HOST names is somebody else's to start: one sentence, exit code 1."""
    arguments = [] if command == "up" else ["--", "true"]
    done = subprocess.run(
        [sys.executable, "-m", "integration", command, *arguments],
        cwd=ROOT,
        env=os.environ | {"DOCKER_HOST": NOWHERE},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    (said,) = done.stderr.splitlines()
    assert NOWHERE in said
    assert "DOCKER_HOST" in said
