"""As ``requests.auth``."""

from requests.auth import *
