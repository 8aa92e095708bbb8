"""As ``urllib3.exceptions``."""

from urllib3.exceptions import *
