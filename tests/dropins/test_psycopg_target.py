"""`tieline.psycopg.connect(target=...)`: where the environment leads, and who wins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg as native
import pytest

import tieline
from tests.dropins.flavours import bare
from tests.dropins.test_psycopg_connect import accepts, hangs_up
from tieline import psycopg
from tieline.testing import FaultServer, ManualClock, RecordingListener, simulate
from tieline.testing.faults import Refuse

if TYPE_CHECKING:
    from pathlib import Path

    from tests.dropins.flavours import Flavour

DSN = "TIELINE_TARGETS__ORDERS_DB__DSN"


def led_to(client: Flavour, *args: Any, **kwargs: Any) -> dict[str, str]:
    """The parameters that a connection came to, as libpq has them."""
    with FaultServer(accepts) as server:
        place = {"hostaddr": "127.0.0.1", "port": server.port, "sslmode": "disable"}
        connection = client.connect(*args, **{**place, **kwargs}, target="orders-db")
        with connection:
            found = connection.info.get_parameters()
            return {**found, "password": connection.info.password}


def test_dsn(client: Flavour, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment alone says where a target is."""
    with FaultServer(accepts) as server:
        monkeypatch.setenv(DSN, f"postgresql://app@127.0.0.1:{server.port}/orders?sslmode=disable")
        with client.connect(target="orders-db") as connection:
            assert connection.info.port == server.port
            assert (connection.info.user, connection.info.dbname) == ("app", "orders")
    with FaultServer(accepts) as server:
        words = f"host=127.0.0.1 port={server.port} user=app sslmode=disable"
        monkeypatch.setenv(DSN, words)
        with client.connect(target="orders.DB") as connection:
            assert connection.info.port == server.port


def test_code_wins(client: Flavour, monkeypatch: pytest.MonkeyPatch) -> None:
    """A keyword beats the conninfo, which beats the DSN, key by key."""
    monkeypatch.setenv(DSN, "user=dsn dbname=dsn password=dsn application_name=dsn")
    found = led_to(client, "dbname=written user=written", user="given")
    assert found["user"] == "given"
    assert found["dbname"] == "written"
    assert found["application_name"] == "dsn"
    assert found["password"] == "dsn"


def test_a_host_in_code_takes_the_place_of_all(
    client: Flavour, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Addresses and ports belong to their hosts: those of the DSN mean nothing to another host."""
    monkeypatch.setenv(DSN, "host=a,b hostaddr=10.0.3.7,10.0.3.8 port=1,2 user=app sslmode=disable")
    with FaultServer(accepts) as server:
        monkeypatch.setenv("PGPORT", str(server.port))
        for written, given in (("host=127.0.0.1", {}), ("", {"host": "127.0.0.1"})):
            with client.connect(written, target="orders-db", **given) as connection:
                assert connection.info.port == server.port
                assert connection.info.user == "app"


def test_without_a_dsn(client: Flavour) -> None:
    """A name that the environment does not know groups breaker and budget, as ever."""
    assert led_to(client, "user=app")["user"] == "app"


def test_libpq_variables_keep_their_meaning(
    client: Flavour, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What neither code nor DSN says is left to PGUSER, PGPASSFILE and the like."""
    passwords = tmp_path / "pgpass"
    passwords.write_text("*:*:*:*:from-pgpass\n")
    passwords.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(passwords))
    monkeypatch.setenv("PGUSER", "pguser")
    monkeypatch.setenv("PGDATABASE", "pgdatabase")
    monkeypatch.setenv(DSN, "dbname=dsn")
    found = led_to(client)
    assert (found["user"], found["dbname"]) == ("pguser", "dsn")
    assert found["password"] == "from-pgpass"


def test_policy_of_the_environment(
    client: Flavour, monkeypatch: pytest.MonkeyPatch, clock: ManualClock
) -> None:
    """The policy comes from the variables of the target; an argument wins."""
    monkeypatch.setenv("TIELINE_TARGETS__ORDERS_DB__RETRY__MAX_ATTEMPTS", "2")
    with simulate(psycopg, tieline.Refused):
        for policy, count in (
            (None, 2),
            (tieline.Policy(retry=tieline.Retry(max_attempts=1)), 1),
        ):
            with pytest.raises(tieline.Refused) as caught:
                client.connect("host=db", target="orders-db", policy=policy)
            assert len(caught.value.attempts) == count
    assert clock.sleeps


def test_connect_timeout_is_an_attempts(client: Flavour, monkeypatch: pytest.MonkeyPatch) -> None:
    """`connect_timeout`, wherever it stands, is the time of an attempt, as without variables."""
    from tieline.psycopg._dial import Dial, configured

    monkeypatch.setenv("TIELINE_ATTEMPT_TIMEOUT", "3s")
    monkeypatch.setenv(DSN, "host=db connect_timeout=4")
    found, dsn = configured("orders-db", None)
    assert found.policy.attempt_timeout == 3
    dial: Dial[None] = Dial(lambda *_, **__: None, "", {}, {}, target=found, dsn=dsn)
    assert dial._policy.attempt_timeout == 4  # noqa: SLF001 - what it came to


@pytest.mark.parametrize(
    ("dsn", "said"),
    [
        ("host=db geheim", "a word without ="),
        ("host=db passwort=geheim", "an unknown parameter"),
        ("host=db port=geheim", "port: not a number from 1 to 65535"),
        ("postgresql://app:x/geheim@db/app", "port: not a number"),
        ("host=a,b,geheim@c", "host: an @ in it"),
        ("host=a,b hostaddr=geheim", "hostaddr: 1 given for 2 hosts"),
        ("host=db connect_timeout=geheim", "connect_timeout: must be a number"),
    ],
)
def test_a_bad_dsn(client: Flavour, dsn: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrong with the DSN is told by its variable, and nothing of it is shown."""
    monkeypatch.setenv(DSN, dsn)
    with pytest.raises(native.Error) as caught:
        client.connect(target="orders-db", dbname="x")
    assert isinstance(caught.value, tieline.ConfigError)
    (problem,) = caught.value.problems
    assert problem.startswith(f"{DSN}: {said}")
    assert "geheim" not in str(caught.value)


def test_what_code_says_is_not_blamed_on_the_dsn(
    client: Flavour, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A problem of the code's own is told without the variable, beside those of the DSN."""
    monkeypatch.setenv(DSN, "host=db port=1 passwort=x")
    with pytest.raises(tieline.ConfigError) as caught:
        client.connect("port=zero", target="orders-db", hosst="x")
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "hosst",
        DSN,
        "port",
    ]


def test_off(client: Flavour, monkeypatch: pytest.MonkeyPatch, clock: ManualClock) -> None:
    """Switched off, psycopg connects by itself: one attempt, its own error, nothing heard."""
    monkeypatch.setenv("TIELINE_ENABLED", "0")
    monkeypatch.setenv("TIELINE_RETRY__MAX_ATTEMPTS", "nonsense")
    with FaultServer(Refuse()) as server, RecordingListener() as heard:
        for target in (None, "orders-db"):
            with pytest.raises(native.OperationalError) as caught:
                client.connect(f"host=127.0.0.1 port={server.port}", target=target)
            assert type(caught.value) is native.OperationalError
    assert heard.events == []
    assert clock.sleeps == []


def test_off_and_the_dsn(client: Flavour, monkeypatch: pytest.MonkeyPatch) -> None:
    """Switched off, the target is where it was; statements are psycopg's own, errors too."""
    monkeypatch.setenv("TIELINE_ENABLED", "off")
    with FaultServer(hangs_up) as server:
        monkeypatch.setenv(DSN, f"host=127.0.0.1 port={server.port} user=app sslmode=disable")
        connection = client.connect("dbname=x", target="orders-db", autocommit=True, user=None)
        assert isinstance(bare(connection), client.connection)
        assert (connection.info.user, connection.info.dbname) == ("app", "x")
        assert connection.autocommit
        for _ in range(2):
            with pytest.raises(native.OperationalError) as caught, tieline.deadline(1e-9):
                connection.execute("SELECT 1")
            assert type(caught.value) is native.OperationalError
        connection.close()


def test_off_and_a_bad_dsn(client: Flavour, monkeypatch: pytest.MonkeyPatch) -> None:
    """Switched off, a DSN that makes no sense is told as ever, without a word of it."""
    monkeypatch.setenv("TIELINE_ENABLED", "off")
    monkeypatch.setenv(DSN, "host=db passwort=geheim")
    with pytest.raises(native.ProgrammingError, match=f"{DSN}: an unknown parameter") as caught:
        client.connect(target="orders-db")
    assert "geheim" not in str(caught.value)
