"""As ``urllib3.util.url``."""

from urllib3.util.url import *
