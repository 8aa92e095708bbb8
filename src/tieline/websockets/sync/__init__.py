"""As ``websockets.sync``."""

from websockets.sync import *
