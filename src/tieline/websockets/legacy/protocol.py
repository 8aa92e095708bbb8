"""As ``websockets.legacy.protocol``."""

from websockets.legacy.protocol import *
