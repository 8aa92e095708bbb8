"""As ``urllib3.filepost``."""

from urllib3.filepost import *
