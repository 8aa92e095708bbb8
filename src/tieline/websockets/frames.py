"""As ``websockets.frames``."""

from websockets.frames import *
