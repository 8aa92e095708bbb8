"""What requests itself raises, where it has a class of its own for what urllib3 has raised."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

from tieline.redact import HIDDEN
from tieline.rules import http_native
from tieline.rules.system import type_names

if TYPE_CHECKING:
    from collections.abc import Mapping

PASSED_ON: Final[Mapping[str, str]] = {
    "urllib3.exceptions.UnrewindableBodyError": "UnrewindableBodyError",
}
"""Type of an exception that requests lets through -> its own class for the same."""


def _class(name: str) -> Any:
    return getattr(importlib.import_module("requests.exceptions"), name)


def in_its_words(error: Exception) -> Exception:
    """The error as requests would raise it; the same one where requests has no word of its own."""
    for name in type_names(error):
        if name in PASSED_ON:
            said: Exception = _class(PASSED_ON[name])(error)
            said.__cause__ = error
            return said
    return error


def without_secrets(error: Exception, url: object) -> None:
    """Take what is secret out of the text of requests' own errors about a request.

    Args:
        error: What it raised.
        url: The URL, as requests was given it.
    """
    http_native.without_secrets(error, str(url))
    if isinstance(error, _class("InvalidHeader")) and error.args:
        # It ends with the value: of a header whose name comes before.
        said = str(error.args[0]).partition(": ")[0].partition(" from (")[0]
        error.args = (f"{said} {HIDDEN}", *error.args[1:])


def complete(error: Any, request: object) -> None:
    """Tell the request on an error that requests leaves without one: of a body, or of a proxy."""
    if isinstance(error, _class("RequestException")) and getattr(error, "request", None) is None:
        error.request = request
