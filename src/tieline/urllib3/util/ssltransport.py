"""As ``urllib3.util.ssltransport``."""

from urllib3.util.ssltransport import *
