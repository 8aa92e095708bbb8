"""As ``requests.status_codes``."""

from requests.status_codes import *
