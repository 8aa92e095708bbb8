"""As ``websockets.cli``."""

from websockets.cli import *
