"""As ``psycopg.pq.misc``."""

from psycopg.pq.misc import *
