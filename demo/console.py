"""Where the demo prints: text that never holds a password, and a block that updates in place."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO


class Span(NamedTuple):
    """Part of a line.

    Attributes:
        text: What it says.
        colour: An ANSI colour code; empty for none.
    """

    text: str
    colour: str = ""


GREEN, YELLOW, RED = "32", "33", "31"


class Console:
    """Prints to a stream and looks for secrets on the way.

    Args:
        stream: Where to.

    Attributes:
        secrets: What must not be printed; where it would be, stars are.
        leaked: Whether any of them would have been.
        live: Whether lines can be replaced: a terminal that understands ANSI sequences.
    """

    def __init__(self, stream: TextIO) -> None:
        """Find out what the stream can do."""
        self.secrets: tuple[str, ...] = ()
        self.leaked = False
        self.live = stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._colours = self.live and not os.environ.get("NO_COLOR")
        self._stream = stream
        self._height = 0

    def print(self, text: str = "") -> None:
        """Print lines that stay."""
        self._height = 0
        self._write(text + "\n")

    def update(self, lines: Sequence[Sequence[Span]]) -> None:
        """Replace the block that was printed last by this one; only if `live`.

        Args:
            lines: As many each time.
        """
        # A line that wraps would put the cursor on the wrong line next time.
        width = shutil.get_terminal_size().columns - 1
        up = f"\x1b[{self._height}A" if self._height else ""
        self._height = len(lines)
        self._write(up + "".join(f"\r{self._fit(line, width)}\x1b[K\n" for line in lines))

    def _fit(self, line: Sequence[Span], width: int) -> str:
        parts = []
        for text, colour in line:
            cut = text[:width]
            width -= len(cut)
            parts.append(f"\x1b[{colour}m{cut}\x1b[0m" if colour and self._colours else cut)
        return "".join(parts)

    def _write(self, text: str) -> None:
        for secret in self.secrets:
            if secret in text:
                self.leaked = True
                text = text.replace(secret, "***")
        self._stream.write(text)
        self._stream.flush()
