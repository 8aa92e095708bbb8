"""As ``psycopg.types.numeric``."""

from psycopg.types.numeric import *
