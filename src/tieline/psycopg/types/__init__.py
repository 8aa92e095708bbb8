"""As ``psycopg.types``."""

from psycopg.types import *
