"""As ``psycopg.cursor``."""

from psycopg.cursor import *
