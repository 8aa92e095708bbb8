"""What `tieline.psycopg.connect` makes of servers that refuse, cut, stay silent or talk nonsense."""

from __future__ import annotations

import errno
import pickle
import socket
import struct
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import psycopg as native
import pytest

import tieline
from tieline import psycopg
from tieline.engine.target import target_state
from tieline.events import CallRecovered
from tieline.testing import FaultServer, RecordingListener, simulate
from tieline.testing.faults import Fin, Garbage, Refuse, Reset, Silence

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.dropins.flavours import Flavour
    from tieline.testing import ManualClock
    from tieline.testing.faults import Connection

SSL_MODES = ("disable", "prefer", "require")
ONCE = tieline.Policy(retry=tieline.Retry(max_attempts=1), breaker=None, budget=None)


def message(kind: bytes, body: bytes) -> bytes:
    """One message of PostgreSQL's protocol."""
    return kind + struct.pack("!i", len(body) + 4) + body


def declines(code: str, text: str = "no") -> Callable[[Connection], None]:
    """A server that answers the start-up with an error."""
    fields = f"SFATAL\0VFATAL\0C{code}\0M{text}\0\0\0".encode()

    def fault(connection: Connection) -> None:
        begin(connection)
        connection.send(message(b"E", fields))

    return fault


def begin(connection: Connection) -> None:
    """Read the start-up packet, declining encryption before it."""
    while True:
        size = struct.unpack("!i", connection.read(4))[0]
        packet = connection.read(size - 4)
        if packet[:2] == b"\x04\xd2":
            connection.send(b"N")
        else:
            return


def accepts(connection: Connection) -> None:
    """A server that lets everybody in and answers nothing after that."""
    welcome(connection)
    connection.read()


def hangs_up(connection: Connection) -> None:
    """A server that lets everybody in and goes away when it is asked something."""
    welcome(connection)
    connection.read(1)


def welcome(connection: Connection) -> None:
    """Let a client in."""
    begin(connection)
    connection.send(
        message(b"R", struct.pack("!i", 0))
        + message(b"S", b"server_version\x0018.0\0")
        + message(b"S", b"client_encoding\0UTF8\0")
        + message(b"K", struct.pack("!ii", 1, 1))
        + message(b"Z", b"I")
    )


def attempt(client: Flavour, server: FaultServer, **arguments: Any) -> Any:
    """Connect, by default once."""
    arguments = {"sslmode": "disable", "policy": ONCE, "user": "app", "dbname": "app"} | arguments
    return client.connect(host=server.host, port=server.port, **arguments)


@pytest.mark.parametrize("sslmode", SSL_MODES)
def test_a_refusal_is_refused(client: Flavour, sslmode: str) -> None:
    """Nobody listens: Refused, which is both a ConnectionRefusedError and psycopg's own error."""
    with FaultServer(Refuse()) as server, pytest.raises(tieline.Refused) as caught:
        attempt(client, server, sslmode=sslmode)
    error = caught.value
    assert isinstance(error, ConnectionRefusedError)
    assert isinstance(error, native.OperationalError)
    assert error.errno == errno.ECONNREFUSED
    assert f"127.0.0.1:{server.port}" in str(error)
    assert "\n" not in str(error)
    assert error.endpoint == tieline.Endpoint("postgresql", server.host, server.port)
    assert not error.maybe_applied
    assert isinstance(error.__cause__, native.OperationalError)
    assert error.sqlstate is None
    assert error.pgconn is not None


def test_the_history_is_in_the_notes(client: Flavour, clock: ManualClock) -> None:
    """Four attempts with growing waits, each of them in a note, and a hint at the end."""
    with FaultServer(Refuse()) as server, pytest.raises(tieline.Refused) as caught:
        attempt(client, server, policy=None)
    error = caught.value
    assert [record.number for record in error.attempts] == [1, 2, 3, 4]
    assert len(clock.sleeps) == 3
    assert sum(note.startswith("attempt ") for note in error.__notes__) == 4
    assert error.__notes__[-1].startswith("hint: ")


@pytest.mark.parametrize("sslmode", SSL_MODES)
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fin(), tieline.Kind.EOF),
        (Fin(after=8), tieline.Kind.EOF),
        (Reset(), tieline.Kind.RESET),
        (Reset(after=8), tieline.Kind.RESET),
    ],
    ids=str,
)
def test_accepted_then_cut(
    client: Flavour, fault: Fin | Reset, kind: tieline.Kind, sslmode: str
) -> None:
    """A FIN and an RST during start-up are told apart, and neither is called a refusal."""
    with FaultServer(fault) as server, pytest.raises(tieline.HandshakeFailed) as caught:
        attempt(client, server, sslmode=sslmode)
    assert isinstance(caught.value, native.OperationalError)
    assert caught.value.failure is not None
    assert caught.value.failure.kind is kind
    # A reset can overtake the news that the kernel had accepted.
    phases = {tieline.Phase.HANDSHAKE, tieline.Phase.CONNECT}
    assert caught.value.failure.phase in phases


@pytest.mark.parametrize("sslmode", SSL_MODES)
@pytest.mark.parametrize("timeout", [0.3, "0.3"])
def test_silence_ends_in_time(client: Flavour, sslmode: str, timeout: float | str) -> None:
    """A connect_timeout below psycopg's minimum of two seconds is kept, fractions and all."""
    began = time.monotonic()
    with FaultServer(Silence()) as server, pytest.raises(tieline.HandshakeFailed) as caught:
        attempt(client, server, sslmode=sslmode, connect_timeout=timeout)
    assert 0.3 <= time.monotonic() - began < 1
    assert isinstance(caught.value, native.errors.ConnectionTimeout)
    assert caught.value.failure is not None
    assert caught.value.failure.kind is tieline.Kind.TIMEOUT


def test_a_fraction_is_not_cut_off(client: Flavour) -> None:
    """Psycopg takes whole seconds and waits for 2 of 2.2; the limit that was given is kept."""
    began = time.monotonic()
    with FaultServer(Silence()) as server, pytest.raises(tieline.HandshakeFailed):
        attempt(client, server, connect_timeout=2.2)
    assert 2.2 <= time.monotonic() - began < 2.7


@pytest.mark.parametrize("sslmode", SSL_MODES)
@pytest.mark.parametrize(
    "fault",
    [
        Garbage(b"\0\xff\x13 nonsense"),
        Garbage(b"\0\xff\x13 nonsense", after=8),
        Garbage(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", after=8),
        Garbage(b"220 mail.example ESMTP\r\n"),
    ],
    ids=str,
)
def test_another_protocol(
    client: Flavour, fault: Garbage, sslmode: str, clock: ManualClock
) -> None:
    """Something that is not PostgreSQL is named as such, and asked once."""
    with FaultServer(fault) as server, pytest.raises(tieline.HandshakeFailed) as caught:
        attempt(client, server, sslmode=sslmode, policy=None)
    assert caught.value.failure is not None
    assert caught.value.failure.kind is tieline.Kind.PROTOCOL
    assert len(caught.value.attempts) == 1
    assert clock.sleeps == []


@pytest.mark.parametrize(
    ("sslmode", "expected"),
    [
        ("disable", tieline.HandshakeFailed),
        ("prefer", tieline.HandshakeFailed),
        # The banner's S means yes to the question for TLS.
        ("require", tieline.TLSFailed),
    ],
)
def test_an_ssh_server(client: Flavour, sslmode: str, expected: type[tieline.TielineError]) -> None:
    """An SSH banner is no PostgreSQL."""
    with (
        FaultServer(Garbage(b"SSH-2.0-OpenSSH_9.6\r\n")) as server,
        pytest.raises(expected) as caught,
    ):
        attempt(client, server, sslmode=sslmode)
    assert isinstance(caught.value, native.OperationalError)


def test_no_tls(client: Flavour) -> None:
    """A server without TLS where TLS is required: TLSFailed, asked once."""

    def without(connection: Connection) -> None:
        connection.read(8)
        connection.send(b"N")

    with FaultServer(without) as server:
        with pytest.raises(tieline.TLSFailed):
            attempt(client, server, sslmode="require", policy=None)
        assert server.accepted == 1


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("28P01", tieline.AuthenticationFailed),
        ("28000", tieline.AuthenticationFailed),
        ("3D000", tieline.TargetNotFound),
        ("53300", tieline.TooBusy),
        ("57P03", tieline.NotReady),
        ("22023", tieline.Declined),
    ],
)
@pytest.mark.parametrize("text", ["no", "Passwort-Authentifizierung für »app« fehlgeschlagen"])
def test_what_the_server_says(
    client: Flavour, code: str, expected: type[tieline.Declined], text: str
) -> None:
    """The SQLSTATE of a start-up failure decides, whatever the language of the message."""
    with FaultServer(declines(code, text)) as server:
        with pytest.raises(native.OperationalError) as theirs:
            client.connect_natively(host=server.host, port=server.port, sslmode="disable")
        with pytest.raises(expected) as caught:
            attempt(client, server)
    assert isinstance(caught.value, native.OperationalError)
    assert caught.value.failure is not None
    assert caught.value.failure.code == code
    # How we came to know the code cannot be seen in psycopg's own text.
    assert str(caught.value.__cause__) == str(theirs.value)


def test_a_rejected_password_is_offered_once(client: Flavour, clock: ManualClock) -> None:
    """No repetition, no further address, no further host: repetition locks accounts."""
    with FaultServer(declines("28P01")) as first, FaultServer(declines("28P01")) as second:
        with pytest.raises(tieline.AuthenticationFailed):
            client.connect(
                host="127.0.0.1,127.0.0.1", port=f"{first.port},{second.port}", sslmode="disable"
            )
        assert (first.accepted, second.accepted) == (1, 0)
    assert clock.sleeps == []


def test_a_server_that_is_not_ready_is_asked_again(client: Flavour, clock: ManualClock) -> None:
    """57P03 passes: the fourth attempt gets through, within one call."""

    def recovers(connection: Connection) -> None:
        (accepts if server.accepted > 3 else declines("57P03"))(connection)

    with FaultServer(recovers) as server, RecordingListener() as heard:
        with attempt(client, server, policy=None) as connection:
            assert not connection.closed
        assert server.accepted == 4
    assert len(clock.sleeps) == 3
    assert heard.of(CallRecovered)[0].number == 4


def test_a_missing_socket(client: Flavour) -> None:
    """A Unix socket that is not there: Unreachable with its error number and the directory."""
    with pytest.raises(tieline.Unreachable, match="/nowhere/at/all") as caught:
        client.connect(host="/nowhere/at/all", policy=ONCE)
    assert caught.value.errno == errno.ENOENT
    assert isinstance(caught.value, native.OperationalError)


def test_a_socket_that_nobody_serves(client: Flavour, tmp_path: Any) -> None:
    """A Unix socket without a server: Refused."""
    path = tmp_path / ".s.PGSQL.5432"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
        with pytest.raises(tieline.Refused):
            client.connect(host=str(tmp_path), policy=ONCE)


def test_an_unknown_name_is_not_repeated(
    client: Flavour, names: dict[str, Any], clock: ManualClock
) -> None:
    """A name that does not exist: NameNotResolved, at once."""
    names["nowhere.test"] = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    with pytest.raises(tieline.NameNotResolved, match=r"nowhere\.test:5432") as caught:
        client.connect(host="nowhere.test")
    assert isinstance(caught.value, native.OperationalError)
    assert len(caught.value.attempts) == 1
    assert clock.sleeps == []


def test_a_name_service_that_fails_is_asked_again(
    client: Flavour, names: dict[str, Any], clock: ManualClock
) -> None:
    """A temporary failure of the name service is repeated."""
    answers = iter([socket.gaierror(socket.EAI_AGAIN, "try again"), ["127.0.0.1"]])
    names["flaky.test"] = lambda: next(answers)
    with (
        FaultServer(accepts) as server,
        client.connect(host="flaky.test", port=server.port, sslmode="disable"),
    ):
        pass
    assert len(clock.sleeps) == 1


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".test"])
def test_a_bad_label(client: Flavour, host: str) -> None:
    """A name that cannot be one raises what psycopg raises, which is ours as well."""
    with pytest.raises(UnicodeError):
        client.connect_natively(host=host)
    with pytest.raises(tieline.NameNotResolved) as caught:
        client.connect(host=host)
    assert isinstance(caught.value, UnicodeError)
    assert len(caught.value.attempts) == 1


def test_a_dead_address_costs_its_share(client: Flavour, names: dict[str, Any]) -> None:
    """The second address of a name is tried within the attempt, in what time is left."""

    def first_is_silent(connection: Connection) -> None:
        connection.pause()

    with FaultServer(accepts) as alive:
        names["two.test"] = ["127.0.0.2", "127.0.0.1"]
        with FaultServer(first_is_silent, host="127.0.0.2", port=alive.port) as silent:
            began = time.monotonic()
            with client.connect(
                host="two.test",
                port=alive.port,
                sslmode="disable",
                connect_timeout=0.6,
                policy=ONCE,
            ):
                assert 0.3 <= time.monotonic() - began < 0.6
            assert (silent.accepted, alive.accepted) == (1, 1)
            # The one that answered is asked first from now on.
            client.connect(host="two.test", port=alive.port, sslmode="disable").close()
            assert (silent.accepted, alive.accepted) == (1, 2)


def test_a_rejected_password_goes_to_one_address(client: Flavour, names: dict[str, Any]) -> None:
    """One wrong password is not offered to every address of a name."""
    with FaultServer(declines("28P01")) as one:
        names["both.test"] = ["127.0.0.1", "127.0.0.2"]
        with FaultServer(declines("28P01"), host="127.0.0.2", port=one.port) as two:
            with pytest.raises(tieline.AuthenticationFailed):
                client.connect(host="both.test", port=one.port, sslmode="disable")
            assert (one.accepted, two.accepted) == (1, 0)


@pytest.mark.skipif(native.pq.version() < 160000, reason="load_balance_hosts came with libpq 16")
def test_addresses_are_shuffled_on_request(
    client: Flavour, names: dict[str, Any], clock: ManualClock
) -> None:
    """With load_balance_hosts=random, the addresses of one name share the load."""
    with FaultServer(accepts) as one:
        names["balanced.test"] = ["127.0.0.1", "127.0.0.2"]
        with FaultServer(accepts, host="127.0.0.2", port=one.port) as two:
            for _ in range(20):
                with client.connect(
                    host="balanced.test",
                    port=one.port,
                    sslmode="disable",
                    load_balance_hosts="random",
                ):
                    pass
            assert one.accepted + two.accepted == 20
            assert one.accepted > 0 < two.accepted


def test_the_next_host(client: Flavour, clock: ManualClock) -> None:
    """Hosts of one conninfo are endpoints of one target: the second is tried at once."""
    with (
        FaultServer(Refuse()) as dead,
        FaultServer(accepts) as alive,
        client.connect(
            f"host=127.0.0.1,127.0.0.1 port={dead.port},{alive.port} sslmode=disable"
        ) as connection,
    ):
        assert connection.info.port == alive.port
    assert clock.sleeps == []


def test_every_host_is_in_the_history(client: Flavour) -> None:
    """When all hosts fail, each one has its record, and one round counts as one attempt."""
    with (
        FaultServer(Refuse()) as one,
        FaultServer(Fin()) as two,
        pytest.raises(tieline.HandshakeFailed) as caught,
    ):
        client.connect(host="127.0.0.1,127.0.0.1", port=f"{one.port},{two.port}", policy=ONCE)
    kinds = [record.failure.kind for record in caught.value.attempts]
    assert kinds[0] is tieline.Kind.REFUSED
    assert kinds[1] in {tieline.Kind.EOF, tieline.Kind.RESET}
    assert [record.number for record in caught.value.attempts] == [1, 1]


def test_prefer_standby(client: Flavour, clock: ManualClock) -> None:
    """A standby on any host comes first, then any server on any host."""
    wanted: list[str] = []
    with FaultServer(Refuse()) as one, FaultServer(Refuse()) as two:
        for label, server in (("one", one), ("two", two)):

            def fault(connection: Connection, label: str = label) -> None:
                begin(connection)
                # The role is asked for only where it matters.
                wanted.append(label)
                connection.send(
                    message(b"R", struct.pack("!i", 0))
                    + message(b"S", b"server_version\x0018.0\0")
                    + message(b"S", b"client_encoding\0UTF8\0")
                    + message(b"S", b"in_hot_standby\0off\0")
                    + message(b"S", b"default_transaction_read_only\0off\0")
                    + message(b"Z", b"I")
                )
                connection.read()

            server.fault = fault
        with client.connect(
            host="127.0.0.1,127.0.0.1",
            port=f"{one.port},{two.port}",
            sslmode="disable",
            target_session_attrs="prefer-standby",
        ) as connection:
            assert connection.info.port == one.port
    assert wanted == ["one", "two", "one"]


def test_a_deadline_ends_a_connect(client: Flavour) -> None:
    """DeadlineExceeded on time, which is a TimeoutError and psycopg's own error."""
    began = time.monotonic()
    with (
        FaultServer(Silence()) as server,
        pytest.raises(tieline.DeadlineExceeded) as caught,
        tieline.deadline(0.3),
    ):
        attempt(client, server, policy=None)
    assert 0.3 <= time.monotonic() - began < 0.8
    assert isinstance(caught.value, TimeoutError)
    assert isinstance(caught.value, native.OperationalError)


def test_a_deadline_ends_name_resolution(client: Flavour, names: dict[str, Any]) -> None:
    """A name service that hangs does not hold a caller beyond the deadline."""
    answered = threading.Event()
    names["hangs.test"] = lambda: answered.wait(10) and ["127.0.0.1"]
    began = time.monotonic()
    try:
        with pytest.raises(tieline.DeadlineExceeded), tieline.deadline(0.3):
            client.connect(host="hangs.test")
        assert time.monotonic() - began < 0.8
    finally:
        answered.set()


def test_no_attempt_after_the_deadline(client: Flavour, clock: ManualClock) -> None:
    """A deadline that is over lets nothing out."""
    with FaultServer(accepts) as server, tieline.deadline(1.0):
        clock.advance(1.0)
        with pytest.raises(tieline.DeadlineExceeded) as caught:
            attempt(client, server)
        assert server.accepted == 0
    assert caught.value.attempts == ()


def test_call_timeout(client: Flavour) -> None:
    """A policy's call_timeout bounds attempts and waits together."""
    policy = tieline.Policy(call_timeout=0.4, attempt_timeout=0.3)
    began = time.monotonic()
    with (
        FaultServer(Silence()) as server,
        pytest.raises((tieline.DeadlineExceeded, tieline.HandshakeFailed)),
    ):
        attempt(client, server, policy=policy)
    assert time.monotonic() - began < 1


def test_an_open_breaker(client: Flavour, clock: ManualClock) -> None:
    """After five failures in a row nothing is sent any more, and the error says until when."""
    policy = tieline.Policy(retry=tieline.Retry(max_attempts=1))
    with FaultServer(Fin()) as server:
        for _ in range(5):
            with pytest.raises(tieline.HandshakeFailed):
                attempt(client, server, policy=policy)
        with pytest.raises(tieline.CircuitOpen) as caught:
            attempt(client, server, policy=policy)
        assert server.accepted == 5
        assert isinstance(caught.value, native.OperationalError)
        assert caught.value.retry_after is not None
        assert caught.value.failure is None
        clock.advance(caught.value.retry_after)
        server.fault = accepts
        with attempt(client, server, policy=policy):
            pass


@pytest.mark.parametrize("part", ["breaker", "budget"])
def test_a_success_counts(client: Flavour, part: str) -> None:
    """It ends a row of failures, fills the budget, and is seen by whoever asks for the endpoint."""
    policy = tieline.Policy(
        retry=tieline.Retry(max_attempts=2),
        backoff=tieline.Backoff(initial=0.001, max=0.001),
        breaker=tieline.CircuitBreaker(failures=4, rate=None) if part == "breaker" else None,
        budget=tieline.Budget(tokens=3, refill=3) if part == "budget" else None,
    )
    with FaultServer(accepts) as server:
        lane = target_state("counted-db", policy).lane(
            tieline.Endpoint("postgresql", server.host, server.port)
        )
        assert lane.seen.answered is None
        for accepted in (2, 5):
            server.fault = Fin()
            with pytest.raises(tieline.HandshakeFailed):
                attempt(client, server, policy=policy, target="counted-db")
            assert server.accepted == accepted
            server.fault = accepts
            attempt(client, server, policy=policy, target="counted-db").close()
            assert lane.breaker is None or lane.breaker.failures == 0
        assert lane.seen.answered is not None
        before = lane.seen.answered
        attempt(client, server, policy=policy, target="counted-db").close()
        assert lane.seen.answered > before


def test_targets_of_one_name_share_a_breaker(client: Flavour) -> None:
    """`target=` names what fails together, wherever it is."""
    policy = tieline.Policy(retry=tieline.Retry(max_attempts=1))
    with FaultServer(Refuse()) as server:
        for _ in range(5):
            with pytest.raises(tieline.Refused, match="orders-db: "):
                attempt(client, server, policy=policy, target="orders-db")
        with pytest.raises(tieline.CircuitOpen, match="orders-db") as caught:
            attempt(client, server, policy=policy, target="orders-db")
        assert caught.value.target == "orders-db"
        with pytest.raises(tieline.Refused):
            attempt(client, server, policy=policy)


def test_the_policy_counts_attempts(client: Flavour, clock: ManualClock) -> None:
    """The server sees as many connections as the policy allows."""
    policy = tieline.Policy(retry=tieline.Retry(max_attempts=2))
    with FaultServer(Fin()) as server:
        with pytest.raises(tieline.HandshakeFailed):
            attempt(client, server, policy=policy)
        assert server.accepted == 2


def test_a_guard_that_repeats_leaves_one_attempt_to_connect(
    client: Flavour, clock: ManualClock
) -> None:
    """A refused connect inside a guard sent nothing, so the guard repeats, and connect does not."""
    calls = []

    @tieline.guard("guarded-connect", policy=tieline.Policy(retry=tieline.Retry(max_attempts=3)))
    def work() -> None:
        calls.append(1)
        client.connect(host=server.host, port=server.port).close()

    with FaultServer(Fin()) as server:
        with pytest.raises(tieline.HandshakeFailed):
            work()
        assert len(calls) == server.accepted == 3


def test_a_simulated_refusal(client: Flavour, clock: ManualClock) -> None:
    """`simulate` needs no server, and its errors are the real ones."""
    with simulate(psycopg, tieline.Refused), pytest.raises(tieline.Refused) as caught:
        client.connect(host="db.example")
    assert isinstance(caught.value, native.OperationalError)
    assert len(caught.value.attempts) == 4


@pytest.mark.parametrize(
    "fault", [Refuse(), Fin(), declines("28P01")], ids=["refuse", "fin", "28P01"]
)
def test_errors_can_be_pickled(client: Flavour, fault: Any) -> None:
    """An error that crosses a process boundary keeps both classes, text, facts and notes."""
    with FaultServer(fault) as server, pytest.raises(tieline.ConnectFailed) as caught:
        attempt(client, server)
    error = caught.value
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert type(copy) is type(error)
    assert isinstance(copy, native.OperationalError)
    assert (str(copy), copy.failure, copy.attempts) == (str(error), error.failure, error.attempts)
    assert copy.diag.sqlstate is None


def test_an_error_is_psycopgs_in_every_attribute(client: Flavour) -> None:
    """Whatever code for psycopg reads from an OperationalError is there."""
    with FaultServer(Refuse()) as server:
        with pytest.raises(native.OperationalError) as caught:
            client.connect_natively(host=server.host, port=server.port)
        expected = caught.value
        with pytest.raises(tieline.Refused) as ours:
            attempt(client, server)
    for name in ("sqlstate", "diag", "pgconn", "pgresult", "args", "with_traceback", "add_note"):
        assert hasattr(ours.value, name) == hasattr(expected, name)
    assert str(ours.value.__cause__) == str(expected)


def test_connections_work_in_threads(client: Flavour) -> None:
    """Many threads connect at a time, each with its own evidence."""
    outcomes: list[str] = []

    def run(server: FaultServer) -> None:
        for _ in range(5):
            try:
                attempt(client, server).close()
            except tieline.TielineError as error:
                outcomes.append(type(error).__name__)
            else:
                outcomes.append("ok")

    with FaultServer(Refuse()) as dead, FaultServer(accepts) as alive:
        threads = [threading.Thread(target=partial(run, server)) for server in (dead, alive) * 4]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(outcomes) == ["Refused"] * 20 + ["ok"] * 20
