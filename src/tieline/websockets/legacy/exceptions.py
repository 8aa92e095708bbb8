"""As ``websockets.legacy.exceptions``."""

from websockets.legacy.exceptions import *
