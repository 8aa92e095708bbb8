"""No secret is printed: random ones, in every place that may hold one, down every path to an error."""

from __future__ import annotations

import contextlib
import logging
import os
import string
import traceback
import warnings
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tieline
from tests.dropins.test_psycopg_connect import declines
from tests.dropins.test_psycopg_conninfo import MALFORMED, shown
from tieline import config, psycopg
from tieline.config import environment, names
from tieline.policy.defaults import DEFAULTS
from tieline.testing import FaultServer, ManualClock, RecordingListener
from tieline.testing.faults import Refuse, Reset, Silence

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

SECRETS = st.text(string.ascii_letters + string.digits, min_size=20, max_size=40).map("Zq{}".format)

PREFIX: Final = "TIELINE_TARGETS__ORDERS_DB__"
WELL_FORMED = [
    "host=127.0.0.1 port={port} user=app password='{secret}' sslmode=disable",
    "postgresql://app:{secret}@127.0.0.1:{port}/app?sslmode=disable",
    "postgresql://127.0.0.1:{port}/app?password={secret}&sslmode=disable",
    "host=127.0.0.1 port={port} sslpassword={secret} sslmode=disable connect_timeout=1",
]
DSNS = [*WELL_FORMED, *(text.replace("{}", "{secret}") for text in MALFORMED)]
URLS = [
    "https://app:{secret}@host/",
    "https://{secret}@host/?token={secret}#{secret}",
    "ftp://app:{secret}@host/",
    "https://app:{secret}@host:port/",
    "https://app:{secret}/x@host/",
    "https://ho st/{secret}",
    "{secret}",
    "",
]
HEADERS = ["Bearer {secret}", "Bearer {secret}\nx", "Bearer {secret}\udc80", "{secret}\u20ac"]
FAULTS = [Refuse(), Reset(), Silence(), declines("28P01", "no"), declines("57P03", "starting")]


@st.composite
def environments(draw: st.DrawFn, secret: str) -> dict[str, str]:
    """Variables of one target: secrets where they belong, and where they do not."""
    found = {
        f"{PREFIX}DSN": draw(st.sampled_from(DSNS)),
        f"{PREFIX}URL": draw(st.sampled_from(URLS)),
        f"{PREFIX}HEADERS__AUTHORIZATION": draw(st.sampled_from(HEADERS)),
    }
    for name in draw(st.sets(st.sampled_from(sorted(found)))):
        del found[name]
    in_files = draw(st.sets(st.sampled_from(sorted(found)))) if found else set()
    for name in in_files:
        found[f"{name}{names.FILE}"] = found.pop(name)
    endings = st.sampled_from([*names.endings(), "DNS", "RETRY__ATEMPTS", "ENABLE", "HEADERS__X"])
    for ending in draw(st.lists(endings, max_size=2)):
        start = draw(st.sampled_from(["TIELINE_", PREFIX]))
        found[start + ending] = draw(st.sampled_from(["{secret}", "{secret}=x", "5{secret}s"]))
    return {name: text.replace("{secret}", secret) for name, text in found.items()}


@contextlib.contextmanager
def given_by(variables: Mapping[str, str], folder: Path, *, mislaid: bool) -> Iterator[None]:
    """The environment with these variables; what is said of files is in files, or mislaid."""
    with pytest.MonkeyPatch.context() as patch:
        for name, text in variables.items():
            value = text
            if name.endswith(names.FILE) and not mislaid:
                path = folder / name
                path.write_bytes(text.encode(errors="surrogateescape"))
                value = str(path)
            patch.setitem(os.environ, name, value)
        yield


def outcomes(target: str, written: str, arguments: Mapping[str, Any]) -> Iterator[object]:
    """Everything that comes of using the target: values, and errors where they end it."""
    for client in DEFAULTS:
        with contextlib.suppress(tieline.ConfigError):
            yield config.resolve(client, target)
    for use in (
        lambda: psycopg.connect(written, target=target, **arguments),
        tieline.guard(target)(lambda: 1),
        lambda: list(tieline.attempts(target)),
        lambda: config.resolve("psycopg", f"postgresql://app:{written}@db/"),
        lambda: config.resolve("psycopg", target),
    ):
        try:
            use()
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not tell
            yield error


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data(), secret=SECRETS, mislaid=st.booleans())
def test_no_secret_is_printed(
    data: st.DataObject,
    secret: str,
    mislaid: bool,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Not in str, repr, notes, causes, contexts, tracebacks, logs, events or warnings."""
    caplog.set_level(logging.DEBUG)
    caplog.clear()
    variables = data.draw(environments(secret))
    written = data.draw(st.sampled_from(["", f"password={secret}", f"host=db {secret}"]))
    once = tieline.Policy(
        call_timeout=0.2,
        attempt_timeout=0.1,
        retry=tieline.Retry(max_attempts=1),
        backoff=tieline.Backoff(initial=0),
        breaker=None,
    )
    arguments = {"policy": once} if data.draw(st.booleans()) else {"connect_timeout": 0.1}
    fault = data.draw(st.sampled_from(FAULTS))
    with (
        FaultServer(fault) as server,
        given_by(
            {name: text.replace("{port}", str(server.port)) for name, text in variables.items()},
            tmp_path,
            mislaid=mislaid,
        ),
        ManualClock(),
        RecordingListener() as heard,
        warnings.catch_warnings(record=True) as warned,
    ):
        warnings.simplefilter("always")
        environment._warned.clear()  # noqa: SLF001 - each example is a process of its own
        found = [*outcomes("orders-db", written, arguments)]
    for outcome in found:
        if isinstance(outcome, BaseException):
            assert secret not in shown(outcome)
            assert secret not in "".join(traceback.format_exception(outcome))
        assert secret not in repr(outcome)
        assert secret not in str(outcome)
    told = [str(warning.message) for warning in warned]
    assert secret not in "\n".join([caplog.text, *map(repr, heard.events), *told])
    assert found


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("dsn", WELL_FORMED)
def test_the_way_to_the_server_is_gone(
    dsn: str, fault: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A target that can be read and not be reached tells where it is, and not its password."""
    caplog.set_level(logging.DEBUG)
    with FaultServer(fault) as server, RecordingListener() as heard:
        monkeypatch.setenv(f"{PREFIX}DSN", dsn.format(secret="geheim", port=server.port))
        monkeypatch.setenv("TIELINE_ATTEMPT_TIMEOUT", "100ms")
        monkeypatch.setenv("TIELINE_RETRY__MAX_ATTEMPTS", "1")
        with pytest.raises(tieline.ConnectFailed) as caught:
            psycopg.connect(target="orders-db", connect_timeout=0.1)
    assert f"127.0.0.1:{server.port}" in str(caught.value)
    assert "geheim" not in shown(caught.value, caplog.text, heard.events)
    assert "geheim" not in "".join(traceback.format_exception(caught.value))
