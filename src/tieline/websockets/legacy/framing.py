"""As ``websockets.legacy.framing``."""

from websockets.legacy.framing import *
