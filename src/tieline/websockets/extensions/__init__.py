"""As ``websockets.extensions``."""

from websockets.extensions import *
