"""As ``websockets.proxy``."""

from websockets.proxy import *
