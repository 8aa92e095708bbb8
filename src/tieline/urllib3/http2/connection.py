"""As ``urllib3.http2.connection``."""

from urllib3.http2.connection import *
