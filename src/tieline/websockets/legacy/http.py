"""As ``websockets.legacy.http``."""

from websockets.legacy.http import *
