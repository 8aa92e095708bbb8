"""As ``urllib3.contrib``."""
