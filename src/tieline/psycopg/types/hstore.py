"""As ``psycopg.types.hstore``."""

from psycopg.types.hstore import *
