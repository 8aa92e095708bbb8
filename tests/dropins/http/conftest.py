"""What the tests of the HTTP drop-ins begin with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.dropins.http.certificates import write_authority
from tests.dropins.http.clients import CLIENTS, Client

if TYPE_CHECKING:
    from pathlib import Path

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
REQUESTS = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NETRC")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy or certificate comes from the machine that the tests run on."""
    for name in (*PROXIES, *map(str.upper, PROXIES), *REQUESTS):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def ca(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Path of the certificate of the authority to trust."""
    folder: Path = tmp_path_factory.mktemp("authority")
    return write_authority(folder)


@pytest.fixture(params=CLIENTS[:2])
def client(request: pytest.FixtureRequest) -> Client:
    """`tieline.requests` and `tieline.urllib3`."""
    return Client(request.param, ours=True)


@pytest.fixture(params=CLIENTS[:2])
def native(request: pytest.FixtureRequest) -> Client:
    """Requests and urllib3 themselves."""
    return Client(request.param, ours=False)


@pytest.fixture(params=[f"{name}{kind}" for name in CLIENTS[:2] for kind in ("", "-native")])
def either(request: pytest.FixtureRequest) -> Client:
    """Requests and urllib3, ours and native: what holds for both is left unchanged."""
    name, _, kind = request.param.partition("-")
    return Client(name, ours=not kind)
