"""As ``websockets.connection``."""

from websockets.connection import *
