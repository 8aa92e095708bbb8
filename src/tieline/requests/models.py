"""As ``requests.models``."""

from requests.models import *
