"""What stands in the way."""

from __future__ import annotations


class Missing(Exception):
    """The machine lacks something that only its owner can give it; the text says what, and how."""
