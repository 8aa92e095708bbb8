"""As ``psycopg.types.numpy``."""

from psycopg.types.numpy import *
