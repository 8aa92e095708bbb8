"""As ``psycopg.waiting``."""

from psycopg.waiting import *
