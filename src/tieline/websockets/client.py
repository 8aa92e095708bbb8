"""As ``websockets.client``."""

from typing import TYPE_CHECKING

from websockets.client import *

if not TYPE_CHECKING:
    from websockets.client import __getattr__ as __getattr__
