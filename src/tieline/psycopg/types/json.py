"""As ``psycopg.types.json``."""

from psycopg.types.json import *
