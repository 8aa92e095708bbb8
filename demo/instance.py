"""One instance of the HTTP service: ``python -m demo.instance LEDGER PORT``.

It writes every order into the ledger before it answers, and prints its port when it is ready.
"""

from __future__ import annotations

import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WORK = 0.03
"""Seconds from the ledger to the answer: long enough for some calls to be caught in between."""


class Handler(BaseHTTPRequestHandler):
    """Takes orders: ``POST /side/id``."""

    protocol_version = "HTTP/1.1"
    # An answer of two packets would wait for the acknowledgement of the first.
    wbufsize = -1
    ledger = -1

    def do_POST(self) -> None:
        """Write the order down, then say so."""
        _, side, order = self.path.split("/")
        os.write(self.ledger, f"{side} {order}\n".encode())
        time.sleep(WORK)
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing: the ledger is the log."""


def main(ledger: str, port: str) -> None:
    """Serve until killed."""
    # O_APPEND: lines of two instances never run into each other.
    Handler.ledger = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    server = ThreadingHTTPServer(("127.0.0.1", int(port)), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
