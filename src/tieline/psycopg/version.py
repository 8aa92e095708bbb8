"""As ``psycopg.version``."""

from psycopg.version import *
