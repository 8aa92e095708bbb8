"""As ``urllib3.util.proxy``."""

from urllib3.util.proxy import *
