"""As ``websockets.trio.server``."""

from websockets.trio.server import *
