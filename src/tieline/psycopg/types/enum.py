"""As ``psycopg.types.enum``."""

from psycopg.types.enum import *
