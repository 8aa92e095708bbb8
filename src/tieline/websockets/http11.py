"""As ``websockets.http11``."""

from websockets.http11 import *
