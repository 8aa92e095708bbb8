"""From what requests raises to an error that is ours as well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tieline.rules import requests_native
from tieline.urllib3._ending import ending_of

if TYPE_CHECKING:
    from requests import PreparedRequest

CLIENT: Final = "requests"


def translated(error: Exception, request: PreparedRequest) -> BaseException:
    """The error that a caller gets: the same one where the pools have nothing to say of it.

    Args:
        error: What requests raised.
        request: What was sent.
    """
    ending = ending_of(error)
    if ending is None and error.args and isinstance(error.args[0], BaseException):
        ending = ending_of(error.args[0])
    final: BaseException = requests_native.in_its_words(error)
    if ending is not None:
        # Without an attempt there is a verdict of ours, and what requests made of that.
        final = ending.fused(error if ending.call.attempts else None, CLIENT)
    requests_native.complete(final, request)
    return final
