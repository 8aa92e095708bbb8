"""The snippet of many a guide, which never worked with psycopg itself: now it does.

psycopg raises its OperationalError and no OSError, so that the handler below was dead code.
"""

from tieline import psycopg

try:
    psycopg.connect("host=127.0.0.1 port=1 dbname=shop")
except ConnectionRefusedError as error:
    print(f"Connection refused: {error}")
    print(f"errno {error.errno}")
