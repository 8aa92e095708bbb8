"""`Response`: requests', whose body tells why it broke."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import requests

from tieline.requests._error import translated
from tieline.rules.http_native import without_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator


class Response(requests.Response):
    """A ``requests.Response`` whose body tells why it broke.

    Not a name of the drop-in: what applications compare with is requests' own class, which doubles
    of theirs return too.
    """

    def iter_content(  # pyright: ignore[reportIncompatibleMethodOverride]  # theirs is overloaded
        self, chunk_size: int | None = 1, decode_unicode: bool = False
    ) -> Iterator[Any]:
        """As requests'; ``content``, ``text``, ``json`` and ``iter_lines`` read by it.

        Args:
            chunk_size: As requests'.
            decode_unicode: As requests'.

        Raises:
            ConnectionLost: The body broke off; also what requests raises.
        """
        read: Any = super().iter_content
        return self._tieline_read(read(chunk_size, decode_unicode))

    def _tieline_read(self, chunks: Iterator[Any]) -> Iterator[Any]:
        try:
            yield from chunks
        except Exception as error:
            final = translated(error, self.request)
            if final is error:
                raise
        else:
            return
        try:
            raise final
        finally:
            # It knows this frame; not knowing it back saves a garbage collection.
            del final

    def raise_for_status(self) -> None:
        """As requests'; the message has no values of the URL's query in it.

        Raises:
            requests.HTTPError: The status is 400 or more.
        """
        try:
            super().raise_for_status()
        except requests.HTTPError as error:
            without_secrets(error, self.url)
            raise
