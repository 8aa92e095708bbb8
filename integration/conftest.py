"""The servers that the integration tests ask for, and what is said of them at the end.

A test takes a fixture; which server that is, and what runs it, is in `KINDS` (servers.py). A test
whose server this machine cannot run is skipped with the reason. Where integration is required
(TIELINE_REQUIRE_INTEGRATION=1), nothing runs at all, and the reason is the error.
"""

from __future__ import annotations

import os
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest

from integration.servers import KINDS, Servers
from integration.services import silence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from integration.services.app import AppService
    from integration.services.consul import ConsulService
    from integration.services.consul_container import ConsulCluster
    from integration.services.postgres import PostgresService
    from integration.services.service import Service

SERVERS = pytest.StashKey[Servers]()
NOT_RUN = pytest.StashKey[dict[str, list[str]]]()

POSTGRES = ("postgres-process", "postgres-container")
CONSUL = ("consul-process", "consul-container")
HTTP = ("http-process", "http-container")
WEBSOCKET = ("websocket-process", "websocket-container")

# What fixtures stand for: the one that the parameter names, else the first that this machine can run.
FIXTURES = {
    "postgres": POSTGRES,
    "local_postgres": POSTGRES[:1],
    "database": POSTGRES,
    "consul": CONSUL,
    "cluster": ("consul-cluster",),
    "http_service": HTTP,
    "websocket_service": WEBSOCKET,
    "service": (*POSTGRES, *CONSUL, *HTTP, *WEBSOCKET),
    "container": HTTP[1:],
}


def pytest_configure(config: pytest.Config) -> None:
    """Nothing runs yet."""
    config.stash[SERVERS] = Servers()
    config.stash[NOT_RUN] = defaultdict(list)


@pytest.hookimpl(trylast=True)  # after -k and -m have picked
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what this machine cannot run, or run nothing where all of it is required."""
    not_run = config.stash[NOT_RUN]
    for item in items:
        if reason := missing(item):
            not_run[reason].append(item.nodeid)
            item.add_marker(pytest.mark.skip(reason=reason))
    if not_run and os.environ.get("TIELINE_REQUIRE_INTEGRATION") == "1":
        reasons = "; ".join(not_run)
        raise pytest.UsageError(
            f"integration is required (TIELINE_REQUIRE_INTEGRATION=1), and {reasons}: "
            "`make integration` gives this machine what it may, and says what else is needed"
        )


def missing(item: pytest.Item) -> str | None:
    """Why a test cannot run here."""
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    for fixture in FIXTURES.keys() & getattr(item, "fixturenames", ()):
        names = (parameters[fixture],) if fixture in parameters else FIXTURES[fixture]
        reasons = [KINDS[name].missing() for name in names]
        if all(reasons):
            return reasons[0]
    return silence.missing() if item.get_closest_marker("cut") else None


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say which servers were real, and which tests did not run, and why."""
    used, not_run = config.stash[SERVERS].used, config.stash[NOT_RUN]
    if not used and not not_run:
        return
    terminalreporter.section("servers")
    for description, times in sorted(used.items()):
        terminalreporter.line(f"real: {description}; tests: {times}")
    for reason, tests in not_run.items():
        terminalreporter.line(f"not run: {len(tests)} tests, as {reason}:")
        for name in sorted({test.partition("[")[0] for test in tests}):
            terminalreporter.line(f"  {name}")
    if not_run:
        terminalreporter.line("`make integration` gives this machine what it may")


@pytest.fixture(scope="session")
def servers(pytestconfig: pytest.Config) -> Iterator[Servers]:
    """The servers of the session, in whatever state the last test left them."""
    servers = pytestconfig.stash[SERVERS]
    yield servers
    servers.close()


@pytest.fixture
def postgres(servers: Servers) -> PostgresService:
    """A PostgreSQL, as fast as it is to be had here."""
    return _first(servers, "postgres")


@pytest.fixture
def local_postgres(servers: Servers) -> PostgresService:
    """A PostgreSQL whose processes are processes of this machine."""
    return _first(servers, "local_postgres")


@pytest.fixture(params=FIXTURES["database"])
def database(servers: Servers, request: pytest.FixtureRequest) -> PostgresService:
    """A PostgreSQL, by each of the ways to run it."""
    return servers.get(request.param)


@pytest.fixture(params=FIXTURES["consul"])
def consul(servers: Servers, request: pytest.FixtureRequest) -> ConsulService:
    """A Consul agent, by each of the ways to run it."""
    return servers.get(request.param)


@pytest.fixture
def cluster(servers: Servers) -> ConsulCluster:
    """Three Consul servers that have a leader."""
    return servers.get("consul-cluster")


@pytest.fixture(params=FIXTURES["http_service"])
def http_service(servers: Servers, request: pytest.FixtureRequest) -> AppService:
    """Our HTTP service, by each of the ways to run it."""
    return servers.get(request.param)


@pytest.fixture(params=FIXTURES["websocket_service"])
def websocket_service(servers: Servers, request: pytest.FixtureRequest) -> AppService:
    """Our WebSocket service, by each of the ways to run it."""
    return servers.get(request.param)


@pytest.fixture(params=FIXTURES["service"])
def service(servers: Servers, request: pytest.FixtureRequest) -> Service:
    """Any server, by any of the ways to run it."""
    return servers.get(request.param)


def _first(servers: Servers, fixture: str) -> Any:
    return servers.get(next(name for name in FIXTURES[fixture] if KINDS[name].missing() is None))
