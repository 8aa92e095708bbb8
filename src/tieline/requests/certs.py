"""As ``requests.certs``."""

from requests.certs import *
