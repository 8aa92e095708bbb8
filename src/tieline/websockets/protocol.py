"""As ``websockets.protocol``."""

from websockets.protocol import *
