"""As ``psycopg.abc``."""

from psycopg.abc import *
