"""As ``urllib3.util.wait``."""

from urllib3.util.wait import *
