"""As ``psycopg.pq``."""

from psycopg.pq import *
