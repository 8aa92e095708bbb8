"""As ``psycopg.types.datetime``."""

from psycopg.types.datetime import *
