"""As ``urllib3.util.util``."""

from urllib3.util.util import *
