"""Endpoints, in words."""

from __future__ import annotations

import pytest

from tieline.endpoint import Endpoint, Proxy


@pytest.mark.parametrize(
    ("endpoint", "address", "text"),
    [
        (Endpoint("http", "h", 80), "h:80", "http://h:80"),
        (Endpoint("http", "::1", 80), "[::1]:80", "http://[::1]:80"),
        (Proxy("http", "p", 3128), "the proxy p:3128", "http://p:3128"),
        (Proxy("https", "::1", 8), "the proxy [::1]:8", "https://[::1]:8"),
    ],
)
def test_in_words(endpoint: Endpoint, address: str, text: str) -> None:
    """A proxy is said to be one, and as a URL it is an ordinary one."""
    assert (endpoint.address, str(endpoint)) == (address, text)
