"""As ``websockets.extensions.base``."""

from websockets.extensions.base import *
