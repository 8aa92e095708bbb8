"""As ``websockets.sync.router``."""

from websockets.sync.router import *
