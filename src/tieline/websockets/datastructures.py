"""As ``websockets.datastructures``."""

from websockets.datastructures import *
