"""What an error says, in the words of these tests."""

from __future__ import annotations

import errno
from typing import Any

import pytest

import tieline

ATTEMPTS = 3
POLICY = tieline.Policy(retry=tieline.Retry(max_attempts=ATTEMPTS), breaker=None, budget=None)
ONCE = tieline.Policy(retry=tieline.Retry(max_attempts=1), breaker=None, budget=None)
KEYED = {"Idempotency-Key": "k"}


def unified(error: BaseException) -> str:
    """Name of the most special class of our hierarchy that it is of."""
    for cls in type(error).__mro__:
        if getattr(tieline, cls.__name__, None) is cls:
            return cls.__name__
    raise AssertionError(type(error).__mro__)


def outcome(act: Any, *args: Any, **kwargs: Any) -> Any:
    """What it raises, or what it returns."""
    try:
        return act(*args, **kwargs)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is compared
        return error


def raised(act: Any, *args: Any, **kwargs: Any) -> BaseException:
    """What it raises."""
    with pytest.raises(Exception) as caught:
        act(*args, **kwargs)
    return caught.value


def check_number(error: Any, number: int | None) -> None:
    """Its failure has the code, and it has the number, unless that would be misunderstood.

    An error of requests is an OSError. With ECONNRESET in its errno a WSGI server would take it
    for one about the server's own client.
    """
    if number is not None:
        assert error.failure.code == errno.errorcode[number]
    misleading = isinstance(error, OSError) and number == errno.ECONNRESET
    assert error.errno == (None if misleading else number)
