"""Something that is done when a process ends, however it ends."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOT = Path(__file__).parent.parent.parent
# Its standard input ends with the process that started it.
_WAIT = 'read -r _; exec "$@"'


@contextmanager
def afterwards(module: str, *arguments: str) -> Iterator[None]:
    """Run a module of this folder after the block, or when this process has died in it.

    Args:
        module: What is run, by its name.
        arguments: Its arguments.
    """
    with subprocess.Popen(
        ["sh", "-c", _WAIT, "sh", sys.executable, "-m", module, *arguments],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        # Out of reach of a Ctrl-C in the terminal.
        start_new_session=True,
    ):
        yield
