"""As ``urllib3.util.ssl_match_hostname``."""

from urllib3.util.ssl_match_hostname import *
