"""As ``websockets.typing``."""

from websockets.typing import *
