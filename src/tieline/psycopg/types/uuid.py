"""As ``psycopg.types.uuid``."""

from psycopg.types.uuid import *
