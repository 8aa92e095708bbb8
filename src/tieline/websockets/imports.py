"""As ``websockets.imports``."""

from websockets.imports import *
