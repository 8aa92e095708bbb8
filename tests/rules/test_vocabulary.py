"""Native bases, hints and phrases: tables without holes and without dead rows."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.rules.natives import OURS
from tieline import errors
from tieline.endpoint import Endpoint
from tieline.failure import Failure, Kind, Phase, Safety
from tieline.rules import http, libpq, natives, sqlstate, system, translate, websockets
from tieline.rules.hints import HINTS
from tieline.rules.natives import NATIVES, native_base, native_class
from tieline.rules.phrases import DOING, PHRASES, describe, seconds

CLIENTS = sorted({client for client, _, _ in NATIVES})
ENDPOINT = Endpoint("postgresql", "db", 5432)
RULES = [
    *sqlstate.SQLSTATES.values(),
    *system.ERRNOS.values(),
    *system.RESOLVER.values(),
    *system.TYPES.values(),
    *system.NAMES.values(),
    *(rule for _, rule in libpq.TEXTS),
    *http.STATUSES.values(),
    *http.TUNNELS.values(),
    *http.ERRORS.values(),
    *http.MESSAGES.values(),
    *websockets.EXCEPTIONS.values(),
    *websockets.STATUSES.values(),
    *websockets.RECEIVED.values(),
    *websockets.FAILED.values(),
    websockets.APPLICATION,
    websockets.NO_UPGRADE,
    http.NO_TUNNEL,
    websockets.NO_PONG,
]
OF_THE_DROP_INS = {"outcome", "server-gone", "deadline", "reused"}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("phase", [None, *Phase])
@pytest.mark.parametrize("ours", OURS, ids=lambda cls: cls.__name__)
def test_every_class_has_a_native_base(
    client: str, ours: type[errors.TielineError], phase: Phase | None
) -> None:
    """Whatever we raise, callers of the client catch it with the client's own name."""
    base = native_base(client, ours, phase)
    assert base is not None
    assert issubclass(base, Exception)
    assert base.__module__.partition(".")[0] in {client, "psycopg"}


@pytest.mark.parametrize("row", NATIVES, ids=lambda row: f"{row[0]}-{row[1].__name__}-{row[2]}")
def test_no_native_row_is_dead(
    row: tuple[str, type[errors.TielineError], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each row decides something: without it some base is another one, or missing."""
    client, ours, _ = row

    def bases() -> list[object]:
        return [native_base(client, ours, phase) for phase in (None, *Phase)]

    before = bases()
    fewer = {key: name for key, name in NATIVES.items() if key != row}
    monkeypatch.setattr(natives, "NATIVES", fewer)
    assert bases() != before


def test_native_class_of_nobody() -> None:
    """A guarded function has no client, and asking for its class is a mistake."""
    assert native_base("", errors.Refused) is None
    with pytest.raises(LookupError, match="Refused"):
        native_class("", errors.Refused)


def test_every_hint_is_used_and_every_key_exists() -> None:
    """A hint nobody points to is never read; a key without a text says nothing."""
    used = {rule.hint for rule in RULES if rule.hint}
    used |= {hint for _, hint in translate._VERDICTS.values()}  # noqa: SLF001 - a table, too
    used |= OF_THE_DROP_INS
    assert used == set(HINTS)


@pytest.mark.parametrize("text", HINTS.values())
def test_hint_is_one_sentence(text: str) -> None:
    """A hint fits behind `hint:` on one line, without a full stop."""
    assert "\n" not in text
    assert text[0].islower()
    assert not text.endswith(".")


def test_phrases_are_total() -> None:
    """Every failure can be put in words."""
    assert set(PHRASES) == set(Kind)
    assert set(DOING) == set(Phase)


@pytest.mark.parametrize("endpoint", [None, ENDPOINT])
@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("kind", Kind)
def test_description(kind: Kind, phase: Phase, endpoint: Endpoint | None) -> None:
    """A phrase names the place and the code, and leaves no blank unfilled."""
    text = describe(Failure(phase, kind, Safety.ALWAYS, "XX000"), endpoint)
    assert ("db:5432" if endpoint else "the other side") in text
    assert text.endswith(" (XX000)")
    assert not re.search(r"[{}]", text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0 ms"),
        (5e-8, "0 ms"),
        (0.00002, "0.02 ms"),
        (0.003, "3 ms"),
        (0.25, "0.25 s"),
        (12.0, "12 s"),
        (99.96, "100 s"),
        (999.7, "1000 s"),
        (1234.5, "1234 s"),
        (86400.0, "86400 s"),
    ],
)
def test_seconds(value: float, text: str) -> None:
    """Durations read like durations."""
    assert seconds(value) == text


@given(st.floats(min_value=0, max_value=1e7))
def test_seconds_has_no_exponent(value: float) -> None:
    """Nobody reads 1.2e+03 seconds."""
    assert re.fullmatch(r"\d+(\.\d+)? m?s", seconds(value))
