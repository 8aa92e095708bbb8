"""As ``psycopg.pq.pq_ctypes``."""

from psycopg.pq.pq_ctypes import *
