"""The session of many a guide: it works as it is on our imports, and means what it meant.

Its three retries are its own. What comes on top: the default timeouts, the deadline, the circuit
breaker, and a POST that the server may have carried out is not sent again.
"""

import tieline
from tieline import requests
from tieline.requests.adapters import HTTPAdapter
from tieline.testing import FaultServer, ManualClock
from tieline.testing.faults import Connection
from tieline.urllib3.util.retry import Retry

session = requests.Session()
retry = Retry(total=3, backoff_factor=1, status_forcelist=[502, 503, 504])
adapter = HTTPAdapter(max_retries=retry)
session.mount("http://", adapter)
session.mount("https://", adapter)


def unavailable(connection: Connection) -> None:
    """Read a request and decline it."""
    while not connection.received.endswith(b"\r\n\r\n"):
        connection.read(1)
    connection.send(b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\r\n")


with FaultServer(unavailable) as server, ManualClock():  # waits take no time here
    url = f"http://{server.host}:{server.port}/orders"
    try:
        session.get(url)
    except requests.exceptions.RetryError:
        print(f"a GET was asked {server.accepted} times")

    response = session.post(url)
    print(f"a POST was asked {server.accepted - 4} time, and answered {response.status_code}")

with ManualClock():
    try:
        session.get("http://127.0.0.1:1/orders")
    except tieline.Refused as error:  # and a requests.exceptions.ConnectionError as ever
        print(f"refused: {error}")
