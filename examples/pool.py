"""The connection pool of many a guide: it works as it is on our import, and means what it meant."""

import tieline
from tieline import urllib3
from tieline.testing import FaultServer, ManualClock
from tieline.testing.faults import Fin

http = urllib3.PoolManager(maxsize=10, timeout=5.0, retries=3, block=True)

with FaultServer(Fin(after=1)) as server, ManualClock():  # waits take no time here
    url = f"http://{server.host}:{server.port}/orders"
    try:
        http.request("GET", url)
    except urllib3.exceptions.MaxRetryError:
        print(f"a GET was sent {server.accepted} times")

    try:
        http.request("POST", url, json={"article": "lamp"})
    except tieline.Aborted as error:
        print(f"a POST was sent once, and may have been applied: {error.maybe_applied}")
        print(f"aborted: {error}")
