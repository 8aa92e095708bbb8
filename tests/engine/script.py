"""A Python of its own, for what a test cannot do to the one it runs in."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

# Forking while threads run is what some scripts are about; Python 3.12 warns of it.
WARNINGS = ("-W", "error", "-W", "ignore::DeprecationWarning")


def run(source: str) -> subprocess.CompletedProcess[str]:
    """Run a script; what hangs is ended, and fails the test that asked."""
    return subprocess.run(
        [sys.executable, *WARNINGS, "-c", textwrap.dedent(source)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
