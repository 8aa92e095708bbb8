"""As ``websockets.trio.router``."""

from websockets.trio.router import *
