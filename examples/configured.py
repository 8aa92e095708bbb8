"""An application that is configured by its environment alone: no address, no policy, no password.

Run it where the variables say what it talks to:

    TIELINE_TARGETS__ORDERS_DB__DSN='postgresql://app@localhost/orders' python examples/configured.py
"""

import sys

import tieline
from tieline import psycopg


def open_orders() -> str:
    """What a page would show."""
    with psycopg.connect(target="orders-db") as connection:
        (count,) = connection.execute("SELECT count(*) FROM orders").fetchone() or (0,)
        return f"{count} open orders"


if __name__ == "__main__":
    try:
        print(open_orders())
    except tieline.ConfigError as error:
        print(*error.problems, sep="\n")
        sys.exit(3)
    except tieline.TielineError as error:
        print(f"{type(error).__name__} after {len(error.attempts)} attempts: {error}")
        sys.exit(1)
