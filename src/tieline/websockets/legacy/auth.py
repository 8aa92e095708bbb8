"""As ``websockets.legacy.auth``."""

from websockets.legacy.auth import *
