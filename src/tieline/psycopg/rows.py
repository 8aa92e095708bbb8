"""As ``psycopg.rows``."""

from psycopg.rows import *
