"""As ``websockets.speedups``."""

from websockets.speedups import *
