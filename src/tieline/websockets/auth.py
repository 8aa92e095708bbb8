"""As ``websockets.auth``."""

from websockets.auth import *
