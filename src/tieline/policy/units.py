"""What the number in a setting counts."""

from __future__ import annotations

from typing import Annotated, TypeAlias

Seconds: TypeAlias = Annotated[float, "seconds"]
"""A duration. The environment may write it as ``250ms``, ``5s``, ``2m`` or ``1h``, too."""
