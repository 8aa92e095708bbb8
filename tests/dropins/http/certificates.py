"""Certificates of the servers in these tests, signed by authorities that exist for a test run."""

from __future__ import annotations

import datetime as dt
import ssl
from functools import cache
from typing import TYPE_CHECKING

import trustme

if TYPE_CHECKING:
    from pathlib import Path


@cache
def authority() -> trustme.CA:
    """The one that the clients trust."""
    return trustme.CA()


@cache
def stranger() -> trustme.CA:
    """One that nobody trusts."""
    return trustme.CA()


@cache
def context(certificate: str = "good") -> ssl.SSLContext:
    """How a server speaks TLS.

    Args:
        certificate: ``good``, ``expired``, ``other-name`` or ``unknown-ca``.
    """
    issuer = stranger() if certificate == "unknown-ca" else authority()
    names = ["other.example"] if certificate == "other-name" else ["127.0.0.1", "localhost"]
    expiry = None
    if certificate == "expired":
        expiry = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issuer.issue_cert(*names, not_after=expiry).configure_cert(made)
    return made


def write_authority(folder: Path) -> str:
    """Path of a file with the certificate of the trusted authority."""
    path = folder / "authority.pem"
    authority().cert_pem.write_to_path(str(path))
    return str(path)
