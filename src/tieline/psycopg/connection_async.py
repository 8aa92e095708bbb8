"""As ``psycopg.connection_async``."""

from psycopg.connection_async import *
