"""As ``websockets.legacy.handshake``."""

from websockets.legacy.handshake import *
