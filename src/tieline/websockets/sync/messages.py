"""As ``websockets.sync.messages``."""

from websockets.sync.messages import *
