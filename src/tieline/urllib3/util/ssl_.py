"""As ``urllib3.util.ssl_``."""

from urllib3.util.ssl_ import *
