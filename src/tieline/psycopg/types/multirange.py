"""As ``psycopg.types.multirange``."""

from psycopg.types.multirange import *
