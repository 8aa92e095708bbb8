"""As ``urllib3.util.connection``."""

from urllib3.util.connection import *
