"""The services the integration tests run against."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from integration.postgres import LocalPostgres, PostgresService

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def postgres_service() -> Iterator[PostgresService]:
    """One PostgreSQL for all tests, in whatever state the last test left it."""
    try:
        service = LocalPostgres()
    except ModuleNotFoundError as error:
        if os.environ.get("TIELINE_REQUIRE_INTEGRATION") == "1":
            raise
        pytest.skip(str(error))
    with service:
        yield service


@pytest.fixture
def postgres(postgres_service: PostgresService) -> PostgresService:
    """The PostgreSQL of the session, running."""
    if postgres_service.running:
        postgres_service.resume()
    else:
        postgres_service.start()
    return postgres_service
