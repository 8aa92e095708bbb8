"""As ``psycopg.connection``."""

from psycopg.connection import *
