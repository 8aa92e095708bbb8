"""As ``websockets.uri``."""

from websockets.uri import *
