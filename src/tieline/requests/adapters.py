"""As ``requests.adapters``."""

from requests.adapters import *

from tieline.requests._adapter import HTTPAdapter as HTTPAdapter
