"""As ``psycopg.types.net``."""

from psycopg.types.net import *
