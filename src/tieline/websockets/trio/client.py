"""As ``websockets.trio.client``."""

from websockets.trio.client import *
