"""As ``psycopg.types.array``."""

from psycopg.types.array import *
