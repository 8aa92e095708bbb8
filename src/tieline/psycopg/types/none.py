"""As ``psycopg.types.none``."""

from psycopg.types.none import *
