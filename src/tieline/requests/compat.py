"""As ``requests.compat``."""

from requests.compat import *
