"""As ``psycopg.sql``."""

from psycopg.sql import *
