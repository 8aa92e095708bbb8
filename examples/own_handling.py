"""An application's own handling of failures, and how it is tested without any server.

Run it: it tests itself.
"""

import tieline
from tieline import psycopg
from tieline.testing import ManualClock, reset_targets, simulate


def stock(article: str) -> str:
    """Look an article up; answer something sensible while the database is away."""
    try:
        with psycopg.connect("dbname=shop", target="stock-db") as connection:
            query = "SELECT count FROM stock WHERE article = %s"
            row = connection.execute(query, [article]).fetchone()
            return f"{row[0]} in stock" if row else "unknown article"
    except tieline.AuthenticationFailed:
        raise  # nothing a customer should wait for: somebody has to look
    except (tieline.ConnectFailed, tieline.NotAttempted) as error:
        when = "soon" if error.retry_after is None else f"in {error.retry_after:.0f} s"
        return f"cannot tell now, ask again {when}"


with ManualClock(), simulate(psycopg, tieline.Refused):
    print(stock("lamp"))  # refused four times, with waits that take no time here
    print(stock("lamp"))  # a fifth refusal opens the circuit breaker, which ends it
    print(stock("lamp"))  # not even tried

reset_targets()  # the breaker would go on being open
with ManualClock(), simulate(psycopg, tieline.AuthenticationFailed):
    try:
        stock("lamp")
    except tieline.AuthenticationFailed as error:
        print(f"for somebody to look at: {error}")
