"""As ``urllib3.response``."""

from urllib3.response import *
