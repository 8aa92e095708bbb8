"""As ``websockets.legacy.client``."""

from websockets.legacy.client import *
