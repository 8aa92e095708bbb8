"""As ``urllib3.util``."""

from urllib3.util import *
from urllib3.util import connection as connection
