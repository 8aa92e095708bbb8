"""As ``websockets.streams``."""

from websockets.streams import *
