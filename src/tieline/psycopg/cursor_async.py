"""As ``psycopg.cursor_async``."""

from psycopg.cursor_async import *
