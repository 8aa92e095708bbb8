"""As ``urllib3.contrib.pyopenssl``."""

from urllib3.contrib.pyopenssl import *
