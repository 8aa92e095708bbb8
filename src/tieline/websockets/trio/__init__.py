"""As ``websockets.trio``."""

from websockets.trio import *
