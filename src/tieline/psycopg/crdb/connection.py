"""As ``psycopg.crdb.connection``."""

from psycopg.crdb.connection import *
