"""As ``requests.help``."""

from requests.help import *
