"""As ``urllib3.http2.probe``."""

from urllib3.http2.probe import *
