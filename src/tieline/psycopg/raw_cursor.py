"""As ``psycopg.raw_cursor``."""

from psycopg.raw_cursor import *
