"""As ``psycopg.dbapi20``."""

from psycopg.dbapi20 import *
