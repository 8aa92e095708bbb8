"""As ``urllib3.fields``."""

from urllib3.fields import *
