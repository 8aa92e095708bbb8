"""Runs the Python blocks of the documentation against a real server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sybil import Sybil
from sybil.integration.pytest import SybilItem
from sybil.parsers.markdown import PythonCodeBlockParser

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def shop() -> Iterator[None]:
    """The server and the table that the pages speak of, found by the variables."""
    import psycopg

    from integration.postgres import LocalPostgres

    with LocalPostgres() as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.params.items():
            patch.setenv(f"PG{name.upper()}".replace("PGDBNAME", "PGDATABASE"), str(value))
        patch.setenv("TIELINE_TARGETS__ORDERS_DB__DSN", server.conninfo)
        patch.setenv("TIELINE_TARGETS__ORDERS_DB__RETRY__MAX_ATTEMPTS", "6")
        with psycopg.connect() as connection:
            connection.execute("CREATE TABLE orders (id serial PRIMARY KEY)")
        yield


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser()],
    patterns=["README.md", "docs/*.md"],
    fixtures=["shop"],
).pytest()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the blocks of a page in their order: the later ones build on the earlier."""
    pages = [item for item in items if isinstance(item, SybilItem)]
    pages.sort(key=lambda item: (str(item.path), item.example.line))
    items[:] = [item for item in items if not isinstance(item, SybilItem)] + pages
