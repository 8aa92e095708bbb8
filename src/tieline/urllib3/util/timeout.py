"""As ``urllib3.util.timeout``."""

from urllib3.util.timeout import *
