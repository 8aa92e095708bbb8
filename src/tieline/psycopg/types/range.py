"""As ``psycopg.types.range``."""

from psycopg.types.range import *
