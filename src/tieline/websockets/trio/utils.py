"""As ``websockets.trio.utils``."""

from websockets.trio.utils import *
