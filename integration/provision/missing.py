"""What stands in the way."""

from __future__ import annotations


class Missing(Exception):  # noqa: N818 - it says what is missing
    """The machine lacks something that only its owner can give it; the text says what, and how."""
