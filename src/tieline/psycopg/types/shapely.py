"""As ``psycopg.types.shapely``."""

from psycopg.types.shapely import *
