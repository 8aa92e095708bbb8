"""As ``websockets.trio``."""
