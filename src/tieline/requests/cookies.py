"""As ``requests.cookies``."""

from requests.cookies import *
