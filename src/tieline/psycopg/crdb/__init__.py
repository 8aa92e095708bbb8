"""As ``psycopg.crdb``."""

from psycopg.crdb import *
