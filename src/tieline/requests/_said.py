"""What a session says to its adapter besides the arguments, which are requests' own.

Adapters of somebody else see nothing of it: theirs stay the arguments that they know.
"""

from __future__ import annotations

from contextvars import ContextVar

unbounded_var: ContextVar[bool | None] = ContextVar("tieline.requests.unbounded", default=None)
"""Whether the caller wrote ``timeout=None``; None where no session of ours has looked.

To an adapter that is the same as no timeout at all, for which there are defaults.
"""
