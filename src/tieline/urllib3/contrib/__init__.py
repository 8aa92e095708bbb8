"""As ``urllib3.contrib``."""

from urllib3.contrib import *
