"""As ``psycopg.postgres``."""

from psycopg.postgres import *
