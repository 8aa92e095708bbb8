"""As ``websockets.sync``."""
