"""As ``psycopg.types.string``."""

from psycopg.types.string import *
