"""As ``websockets.exceptions``."""

from typing import TYPE_CHECKING

from websockets.exceptions import *

if not TYPE_CHECKING:
    from websockets.exceptions import __getattr__ as __getattr__
