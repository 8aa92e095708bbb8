"""As ``psycopg.pq.abc``."""

from psycopg.pq.abc import *
