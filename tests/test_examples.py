from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
EXPECTED = {
    "refused.py": [
        "Connection refused: connection refused by 127.0.0.1:1 (ECONNREFUSED)",
        "errno 111",
    ],
    "session_with_retries.py": [
        "a GET was asked 4 times",
        "a POST was asked 1 time, and answered 503",
        "refused: connection refused by 127.0.0.1:1",
    ],
    "pool.py": [
        "a GET was sent 4 times",
        "a POST was sent once, and may have been applied: True",
        "aborted: 127.0.0.1:",
    ],
    "own_handling.py": [
        "cannot tell now, ask again soon",
        "cannot tell now, ask again in 1 s",
        "cannot tell now, ask again in 1 s",
        "for somebody to look at: stock-db: ",
    ],
    "reconnecting.py": [
        "received: one",
        "lost: 1012 (service restart) restart",
        "received: two",
        "lost: 1012 (service restart) restart",
        "received: three",
        "refused: connection refused by there (ECONNREFUSED)",
    ],
    "subscriber.py": [
        "price: 41",
        "lost: 1012 (service restart) restart",
        "price: 42",
        "lost: 1012 (service restart) restart",
        "price: 43",
        "closed for good: 1000 (OK) bye",
    ],
}


def test_every_example_is_run() -> None:
    """An example that nobody runs rots; `configured.py` is run by test_configured."""
    assert {path.name for path in EXAMPLES.glob("*.py")} == {*EXPECTED, "configured.py"}


@pytest.mark.parametrize("name", EXPECTED)
def test_example_prints_what_it_promises(name: str) -> None:
    """Examples work as they stand, in an interpreter of their own."""
    run = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / name],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    lines = run.stdout.splitlines()
    assert len(lines) == len(EXPECTED[name])
    for line, beginning in zip(lines, EXPECTED[name], strict=True):
        assert line.startswith(beginning)
