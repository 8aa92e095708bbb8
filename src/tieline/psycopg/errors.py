"""As ``psycopg.errors``."""

from psycopg.errors import *
