"""As ``requests.packages``."""

from requests.packages import *
