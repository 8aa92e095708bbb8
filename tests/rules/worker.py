"""What another process runs for the tests of pickling; light, for it is imported anew there."""

from __future__ import annotations

import threading

import psycopg

from tieline import errors
from tieline.rules.fuse import fuse


def fail() -> None:
    """Raise a fused error that holds what no pickle can."""
    native = psycopg.errors.AdminShutdown("terminating connection")
    error = fuse(errors.Aborted, type(native), native, "db is gone", {"target": "db"})
    error.lock = threading.Lock()  # type: ignore[attr-defined]
    raise error
