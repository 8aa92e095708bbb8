"""As ``psycopg.crdb``."""

from psycopg.crdb import *
from psycopg.crdb import adapters as adapters
from psycopg.crdb import connect as connect
