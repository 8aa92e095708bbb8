"""As ``psycopg.pq``."""

from psycopg.pq import *
from psycopg.pq import Escaping as Escaping
from psycopg.pq import PGcancel as PGcancel
from psycopg.pq import PGcancelConn as PGcancelConn
from psycopg.pq import PGresult as PGresult
from psycopg.pq import __impl__ as __impl__
