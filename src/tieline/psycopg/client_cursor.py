"""As ``psycopg.client_cursor``."""

from psycopg.client_cursor import *
