"""As ``psycopg.conninfo``."""

from psycopg.conninfo import *
