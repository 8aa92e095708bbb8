"""As ``websockets.legacy.server``."""

from websockets.legacy.server import *
