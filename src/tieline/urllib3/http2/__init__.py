"""As ``urllib3.http2``."""

from urllib3.http2 import *
