"""As ``websockets.trio.messages``."""

from websockets.trio.messages import *
