"""The variables of this process, as they are when a client is built."""

from __future__ import annotations

import os
import stat
import warnings
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tieline.config import names
from tieline.errors import ConfigWarning

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_FILE: Final = 65536
"""Bytes of a file that holds a secret."""

_NONBLOCKING: Final = getattr(os, "O_NONBLOCK", 0)

_warned: set[str] = set()


class Content(NamedTuple):
    """What is in the file that a variable names.

    Attributes:
        text: Without the newline at its end; empty where there is a fault.
        fault: Why there is nothing to be had; empty where there is.
    """

    text: str
    fault: str = ""

    def __repr__(self) -> str:
        """Without the secret."""
        return f"Content(fault={self.fault!r})"


class Environment:
    """The ``TIELINE_*`` variables at one time; one that is empty counts as not set.

    Attributes:
        variables: Variable -> what it says.
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        """Leave out what is empty: compose files set variables to nothing."""
        self.variables = {
            name: value.strip()
            for name, value in variables.items()
            if name.startswith(names.PREFIX) and value.strip()
        }

    def __repr__(self) -> str:
        """The names alone."""
        return f"Environment({sorted(self.variables)})"

    def files(self, prefix: str) -> tuple[tuple[str, Content], ...]:
        """What is now in the files of a target.

        They are read each time: a secret that was rotated is found by the next client.

        Args:
            prefix: What the variables of the target begin with.
        """
        return tuple((name, _read(self.variables[name])) for name in _file_names(self, prefix))


@lru_cache(maxsize=256)
def _file_names(environment: Environment, prefix: str) -> tuple[str, ...]:
    return tuple(
        name
        for name in environment.variables
        if name.startswith(prefix) and name.endswith(names.FILE) and names.is_known(name)
    )


def _read(path: str) -> Content:
    try:
        # Whoever names a pipe by mistake is told so, and does not wait for it.
        descriptor = os.open(path, os.O_RDONLY | _NONBLOCKING)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return Content("", "not a file")
            content = os.read(descriptor, MAX_FILE + 1)
        finally:
            os.close(descriptor)
        text = content.decode()
    except UnicodeDecodeError:
        return Content("", "not valid UTF-8")
    except (OSError, ValueError) as error:
        return Content("", getattr(error, "strerror", None) or "not the path of a file")
    if len(content) > MAX_FILE:
        return Content("", f"larger than {MAX_FILE} bytes")
    text = text.removesuffix("\n").removesuffix("\r")
    return Content(text, "" if text.strip() else "empty")


class _Seen(NamedTuple):
    """An environment, and all variables of the process that it was made of."""

    process: Mapping[Any, Any]
    environment: Environment


_last = _Seen({}, Environment({}))


def current() -> Environment:
    """The variables now: the same object for as long as none of the process has changed."""
    global _last  # noqa: PLW0603 - replaced as a whole, so that threads need no lock
    # os.environ decodes each value at each look, which takes a hundred times as long as to
    # compare the dictionary behind it. And a copy of that is made in one go, whatever other threads
    # do meanwhile.
    process: Mapping[Any, Any] = getattr(os.environ, "_data", os.environ)
    seen = _last
    if seen.process == process:
        return seen.environment
    copied = dict(process)
    variables = {os.fsdecode(name): os.fsdecode(text) for name, text in copied.items()}
    seen = _last = _Seen(copied, Environment(variables))
    _warn(seen.environment)
    return seen.environment


def _warn(environment: Environment) -> None:
    for name in environment.variables:
        if name in _warned or names.is_known(name):
            continue
        _warned.add(name)
        near = names.nearest(name)
        advice = "" if near is None else f"; did you mean {near}?"
        warnings.warn(f"{name} is not a setting{advice}", ConfigWarning, stacklevel=2)
