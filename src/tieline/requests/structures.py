"""As ``requests.structures``."""

from requests.structures import *
