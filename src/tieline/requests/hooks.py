"""As ``requests.hooks``."""

from requests.hooks import *
