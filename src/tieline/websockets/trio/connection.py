"""As ``websockets.trio.connection``."""

from websockets.trio.connection import *
