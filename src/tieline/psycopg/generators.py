"""As ``psycopg.generators``."""

from psycopg.generators import *
