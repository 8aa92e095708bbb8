"""As ``psycopg.transaction``."""

from psycopg.transaction import *
