"""As ``websockets.extensions.permessage_deflate``."""

from websockets.extensions.permessage_deflate import *
