"""As ``psycopg.copy``."""

from psycopg.copy import *
