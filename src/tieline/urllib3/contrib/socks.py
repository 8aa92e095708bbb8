"""As ``urllib3.contrib.socks``."""

from urllib3.contrib.socks import *
