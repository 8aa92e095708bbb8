"""As ``urllib3.util.request``."""

from urllib3.util.request import *
