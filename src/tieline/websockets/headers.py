"""As ``websockets.headers``."""

from websockets.headers import *
