"""What `tieline.psycopg.connect` says to parameters that make no sense, and where good ones lead."""

from __future__ import annotations

import logging
import string
import traceback
from typing import TYPE_CHECKING, Any

import psycopg as native
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tieline
from tests.dropins.test_psycopg_connect import accepts, attempt
from tieline import psycopg
from tieline.testing import FaultServer, RecordingListener, simulate
from tieline.testing.faults import Refuse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.dropins.flavours import Flavour
    from tieline.testing import ManualClock

ONCE = tieline.Policy(retry=tieline.Retry(max_attempts=1), breaker=None, budget=None)
SECRET = "hunter-two-is-secret"

MALFORMED = [
    "host=db password={} oops",
    "host=db password=a {}",
    "host=db password='{}",
    "password={}=x host",
    "passwort={}",
    "{}",
    "host=db connect_timeout=5password={}",
    "host=db port=5432password={}",
    "host=db port={}",
    "postgresql://app:{}",
    "postgresql://app:{}@[::1/db",
    "postgresql://app:{}%@db/app",
    "postgresql://app:{}%zz@db/app",
    "postgresql://app:x@{}@db/app",
    "postgresql://app:{}/rest@db/app",
    "postgresql://app:x/{}@db/app",
    "postgresql://app:pw@db/app?passwort={}",
    "postgresql://app:pw@db/app?password",
    "postgresql://app:pw@db/app?password={}=",
    "postgresql://app:pw@db/app?sslmode=require&{}",
    "postgresql://app:pw@db:{}/app",
    "host=db password={}\udc80",
]


def everything_shown(error: BaseException) -> Iterator[str]:
    """All that an error, and whatever hangs on it, may show to somebody."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        current = waiting.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        yield str(current)
        yield repr(current)
        yield repr(current.args)
        yield repr(getattr(current, "__notes__", None))
        yield repr(getattr(current, "problems", None))
        yield repr(getattr(current, "attempts", None))
        yield repr(getattr(current, "endpoint", None))
        yield repr(getattr(current, "target", None))
        yield "".join(traceback.format_exception_only(current))
        waiting += [current.__cause__, current.__context__]


def shown(error: BaseException, *more: object) -> str:
    """The same as one text, with logs and events."""
    return "\n".join([*everything_shown(error), *map(repr, more)])


@pytest.mark.parametrize("conninfo", MALFORMED)
def test_nothing_of_a_malformed_conninfo_is_shown(
    client: Flavour, conninfo: str, caplog: pytest.LogCaptureFixture, clock: ManualClock
) -> None:
    """The password in a conninfo that cannot be read shows up nowhere, and every log is silent."""
    caplog.set_level(logging.DEBUG)
    with RecordingListener() as heard, pytest.raises(native.Error) as caught:
        client.connect(conninfo.format(SECRET))
    assert isinstance(caught.value, tieline.ConfigError)
    assert SECRET not in shown(caught.value, caplog.text, heard.events)
    assert "".join(traceback.format_exception(caught.value)).count(SECRET) == 0


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    template=st.sampled_from(MALFORMED),
    secret=st.text(
        string.ascii_letters + string.digits + "!$%&*()_+=-{}[]:;'\"<>,.?~ ", min_size=6
    ),
)
def test_no_part_of_a_password_is_shown(
    client: Flavour, template: str, secret: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever stands in the place of the password, the error does not repeat it."""
    caplog.set_level(logging.DEBUG)
    # Told apart from the words of our own messages by a mark that those never hold.
    marked = f"Zq{secret}qZ"
    try:
        with simulate(psycopg, tieline.Refused), RecordingListener() as heard:
            client.connect(template.replace("{}", marked), policy=ONCE)
    except native.Error as error:
        if isinstance(error, tieline.ConfigError):
            text = shown(error, caplog.text, heard.events)
            assert "Zq" not in text
            assert "qZ" not in text
        else:
            # It can be read after all, and a host or a port is no secret.
            assert native.conninfo.conninfo_to_dict(template.replace("{}", marked))


@pytest.mark.parametrize(
    "fault_host", ["127.0.0.1", "nowhere.invalid"], ids=["refused", "unresolved"]
)
def test_a_good_conninfo_keeps_its_password(
    client: Flavour, fault_host: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A failure to connect shows no password, in any part of the error or the log."""
    caplog.set_level(logging.DEBUG, "tieline")
    with (
        FaultServer(Refuse()) as server,
        RecordingListener() as heard,
        pytest.raises(tieline.ConnectFailed) as caught,
    ):
        client.connect(f"postgresql://app:{SECRET}@{fault_host}:{server.port}/app", policy=ONCE)
    assert SECRET not in shown(caught.value, caplog.text, heard.events)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_config_error_is_psycopgs(client: Flavour) -> None:
    """A conninfo that cannot be read raises what psycopg raises, which is also a ValueError."""
    with pytest.raises(native.ProgrammingError):
        client.connect_natively("nonsense")
    with pytest.raises(native.ProgrammingError) as caught:
        client.connect("nonsense")
    assert isinstance(caught.value, tieline.ConfigError)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("conninfo", "arguments"),
    [
        ("nonsense", {}),
        ("", {"hosst": "db"}),
        ("", {"connect_timeout": "soon"}),
        ("", {"connect_timeout": "inf"}),
        ("", {"connect_timeout": "nan"}),
        ("", {"connect_timeout": ""}),
        ("connect_timeout=soon", {}),
        ("", {"host": "a,b", "hostaddr": "127.0.0.1"}),
        ("", {"host": "a,b,c", "port": "1,2"}),
        ("", {"host": "127.0.0.1", "port": "many"}),
        ("", {"host": "127.0.0.1", "port": "70000"}),
        ("", {"host": "127.0.0.1", "port": "0"}),
    ],
    ids=str,
)
def test_the_class_is_the_one_that_psycopg_raises(
    client: Flavour, conninfo: str, arguments: Any
) -> None:
    """Every parameter that we refuse is one that psycopg refuses, and by the same class."""
    # psycopg 3.2 lets an OverflowError escape.
    with pytest.raises((native.Error, OverflowError)) as theirs:
        client.connect_natively(conninfo, **arguments)
    with pytest.raises(tieline.ConfigError) as ours:
        client.connect(conninfo, **arguments)
    if isinstance(theirs.value, native.Error):
        assert isinstance(ours.value, type(theirs.value))


def test_a_wrong_keyword_is_answered_by_the_nearest(client: Flavour) -> None:
    """A misspelt parameter is named, together with what was meant."""
    with pytest.raises(tieline.ConfigError, match=r"pasword.*did you mean password"):
        client.connect(host="db", pasword="x")


def test_all_problems_at_once(client: Flavour) -> None:
    """One error lists every problem, one line each."""
    with pytest.raises(tieline.ConfigError) as caught:
        client.connect("nonsense", hosst="db", connect_timeout="soon", port="x")
    problems = caught.value.problems
    assert [problem.split(":")[0].split("=")[0] for problem in problems] == [
        "hosst",
        "conninfo",
        "connect_timeout",
        "port",
    ]


def test_none_is_not_given(client: Flavour) -> None:
    """A keyword of None is dropped, as psycopg drops it, an unknown one included."""
    with FaultServer(accepts) as server, attempt(client, server, password=None, nonsense=None):
        assert server.accepted == 1


@pytest.mark.parametrize("value", ["a\0b", "a\udc80b"], ids=["NUL", "surrogate"])
def test_a_password_that_cannot_be_sent(client: Flavour, value: str) -> None:
    """A value that cannot be encoded is refused by name, and not shown."""
    with pytest.raises(tieline.ConfigError, match=r"^password: ") as caught:
        client.connect(host="db", password=value)
    assert value not in shown(caught.value)


def test_the_environment_is_read(client: Flavour, monkeypatch: pytest.MonkeyPatch) -> None:
    """PGHOST, PGPORT and PGCONNECT_TIMEOUT mean to us what they mean to libpq."""
    with FaultServer(accepts) as server:
        monkeypatch.setenv("PGHOST", server.host)
        monkeypatch.setenv("PGPORT", str(server.port))
        monkeypatch.setenv("PGSSLMODE", "disable")
        monkeypatch.setenv("PGCONNECT_TIMEOUT", "3")
        with client.connect() as connection:
            assert connection.info.port == server.port
        server.fault = Refuse()
        with pytest.raises(tieline.Refused) as caught:
            client.connect(policy=ONCE)
    assert caught.value.endpoint == tieline.Endpoint("postgresql", server.host, server.port)


def test_several_hosts_of_the_environment(
    client: Flavour, monkeypatch: pytest.MonkeyPatch, clock: ManualClock
) -> None:
    """A list in PGHOST and PGPORT, an empty item included, is one endpoint an item."""
    with FaultServer(Refuse()) as dead, FaultServer(accepts) as alive:
        monkeypatch.setenv("PGHOST", "127.0.0.1,127.0.0.1")
        monkeypatch.setenv("PGPORT", f"{dead.port},{alive.port}")
        with client.connect(sslmode="disable") as connection:
            assert connection.info.port == alive.port
        assert alive.accepted == 1


def test_an_empty_item_means_the_default(
    client: Flavour, monkeypatch: pytest.MonkeyPatch, clock: ManualClock
) -> None:
    """An empty host in a list is the default one, and not the whole list once more."""
    with FaultServer(Refuse()) as dead, FaultServer(accepts) as alive:
        monkeypatch.setenv("PGPORT", str(alive.port))
        with client.connect(f"host=127.0.0.1,127.0.0.1 port={dead.port}, sslmode=disable") as one:
            assert one.info.port == alive.port
        with pytest.raises(tieline.ConnectFailed) as caught:
            client.connect(f"host=127.0.0.1,, port={dead.port}", policy=ONCE)
    shown_hosts = [record.endpoint.host for record in caught.value.attempts if record.endpoint]
    assert shown_hosts == ["127.0.0.1", "(default socket)", "(default socket)"]


@pytest.mark.parametrize("value", ["soon", "inf", ""])
def test_a_bad_timeout_in_the_environment(
    client: Flavour, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    """The variable that is wrong is named."""
    monkeypatch.setenv("PGCONNECT_TIMEOUT", value)
    with pytest.raises((native.ProgrammingError, OverflowError)):
        client.connect_natively(host="127.0.0.1")
    with pytest.raises(tieline.ConfigError, match="PGCONNECT_TIMEOUT"):
        client.connect(host="127.0.0.1")


def test_no_limit_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """connect_timeout=0 means no limit, whatever PGCONNECT_TIMEOUT says."""
    from tieline.psycopg import _conninfo

    monkeypatch.setenv("PGCONNECT_TIMEOUT", "7")
    assert _conninfo.plan("", {"connect_timeout": 0}).timeout == 0
    assert _conninfo.plan("", {}).timeout == 7


def test_a_service(client: Flavour, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A service file is libpq's to read; what fails is named after the service."""
    with FaultServer(accepts) as server:
        (tmp_path / "services").write_text(
            f"[orders]\nhost=127.0.0.1\nport={server.port}\nsslmode=disable\n"
        )
        monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
        with client.connect(service="orders") as connection:
            assert connection.info.port == server.port
        with client.connect(service="orders", host="127.0.0.1") as connection:
            assert connection.info.port == server.port
        monkeypatch.setenv("PGSERVICE", "orders")
        with client.connect() as connection:
            assert connection.info.port == server.port
        server.fault = Refuse()
        with pytest.raises(tieline.Refused, match="service=orders"):
            client.connect("service=orders", policy=ONCE)


@pytest.mark.parametrize(
    ("conninfo", "hosts"),
    [
        ("", ["(default socket)"]),
        ("host=db", ["db"]),
        ("host=a,b port=1", ["a", "b"]),
        ("hostaddr=127.0.0.1,127.0.0.2", ["127.0.0.1", "127.0.0.2"]),
        ("host=a hostaddr=127.0.0.1", ["a"]),
        ("postgresql://a:1,b:2/db", ["a", "b"]),
        ("postgresql://[::1]:5433/db", ["::1"]),
        ("host=/run/pg", ["/run/pg"]),
    ],
)
def test_the_endpoints_of_a_conninfo(client: Flavour, conninfo: str, hosts: list[str]) -> None:
    """Each host is an endpoint; database, user and options are no part of it."""
    with simulate(psycopg, tieline.Refused), pytest.raises(tieline.Refused) as caught:
        client.connect(conninfo, policy=ONCE)
    endpoints = [record.endpoint for record in caught.value.attempts]
    assert [endpoint.host for endpoint in endpoints if endpoint] == hosts
