"""As ``websockets.sync.server``."""

from websockets.sync.server import *
