"""As ``websockets.utils``."""

from websockets.utils import *
