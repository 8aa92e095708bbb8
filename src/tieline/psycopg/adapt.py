"""As ``psycopg.adapt``."""

from psycopg.adapt import *
