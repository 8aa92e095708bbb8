"""As ``psycopg.types.composite``."""

from psycopg.types.composite import *
