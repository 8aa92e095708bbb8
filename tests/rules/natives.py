"""Every exception class that the wrapped clients export, and real errors of theirs."""

from __future__ import annotations

import inspect
import socket
import ssl
from typing import TYPE_CHECKING

import psycopg
import psycopg.errors
import psycopg_pool
import requests
import requests.exceptions
import urllib3
import urllib3.exceptions
import websockets.exceptions

from tieline import errors
from tieline.errors import TielineError

if TYPE_CHECKING:
    from types import ModuleType

MODULES = (
    psycopg,
    psycopg.errors,
    psycopg_pool,
    requests,
    requests.exceptions,
    urllib3,
    urllib3.exceptions,
    websockets.exceptions,
)

SYSTEM = (
    Exception,
    OSError,
    ConnectionError,
    ConnectionRefusedError,
    ConnectionResetError,
    ConnectionAbortedError,
    BrokenPipeError,
    TimeoutError,
    PermissionError,
    FileNotFoundError,
    UnicodeError,
    socket.gaierror,
    ssl.SSLError,
    ssl.SSLCertVerificationError,
    ssl.SSLEOFError,
)


def exceptions_of(module: ModuleType) -> set[type[Exception]]:
    """The exception classes among a module's attributes."""
    # vars, not dir: websockets answers for its deprecated names with a warning.
    found = vars(module).values()
    return {value for value in found if inspect.isclass(value) and issubclass(value, Exception)}


def by_name(classes: set[type[Exception]]) -> list[type[Exception]]:
    """In an order that is the same in every run."""
    return sorted(classes, key=lambda cls: (cls.__module__, cls.__qualname__))


OURS = by_name(
    {
        value
        for value in vars(errors).values()
        if inspect.isclass(value) and issubclass(value, TielineError)
    }
)
PSYCOPG = by_name(exceptions_of(psycopg) | exceptions_of(psycopg.errors))
NATIVES = by_name(set().union(*map(exceptions_of, MODULES)) | set(SYSTEM))
