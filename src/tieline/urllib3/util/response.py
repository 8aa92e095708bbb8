"""As ``urllib3.util.response``."""

from urllib3.util.response import *
