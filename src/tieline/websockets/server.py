"""As ``websockets.server``."""

from typing import TYPE_CHECKING

from websockets.server import *

if not TYPE_CHECKING:
    from websockets.server import __getattr__ as __getattr__
