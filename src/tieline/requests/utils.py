"""As ``requests.utils``."""

from requests.utils import *
