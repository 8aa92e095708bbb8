"""What all tests share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, is_hypothesis_test, settings

from tieline.testing import reset_targets

if TYPE_CHECKING:
    from collections.abc import Iterator

# A few examples each time, ten thousand with TIELINE_SOAK=1. Never a limit of wall-clock time.
UNHURRIED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("default", max_examples=50, **UNHURRIED)
settings.register_profile("soak", max_examples=10_000, **UNHURRIED)
SOAK = os.environ.get("TIELINE_SOAK") == "1"
settings.load_profile("soak" if SOAK else "default")


@pytest.hookimpl(tryfirst=True)  # before -m picks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what Hypothesis drives, and let a soak of it take its time.

    What guards against a test that hangs would end a soak.
    """
    for item in items:
        if is_hypothesis_test(getattr(item, "obj", None)):
            item.add_marker(pytest.mark.property)
        if SOAK:
            item.add_marker(pytest.mark.timeout(3600))


@pytest.fixture(autouse=True)
def bare_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting comes from the machine that the tests run on, nor from the suite's own switches."""
    for name in list(os.environ):
        if name.startswith("TIELINE_"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def fresh_targets() -> Iterator[None]:
    """Breakers closed and budgets full: no test inherits what another one did to a target."""
    reset_targets()
    yield
    reset_targets()
