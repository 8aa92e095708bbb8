"""As ``websockets.sync.utils``."""

from websockets.sync.utils import *
