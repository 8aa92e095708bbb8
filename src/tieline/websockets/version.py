"""As ``websockets.version``."""

from websockets.version import *
