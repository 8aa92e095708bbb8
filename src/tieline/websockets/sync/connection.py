"""As ``websockets.sync.connection``."""

from websockets.sync.connection import *
