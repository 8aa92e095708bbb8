"""As ``websockets.legacy``."""

from websockets.legacy import *
