"""As ``urllib3.connection``."""

from urllib3.connection import *
