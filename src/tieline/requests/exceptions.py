"""As ``requests.exceptions``."""

from requests.exceptions import *
