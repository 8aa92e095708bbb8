"""As ``psycopg.types.bool``."""

from psycopg.types.bool import *
