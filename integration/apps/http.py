"""An HTTP service: ``python -m apps.http HOST PORT LEDGER``.

Any request is answered with 200 and a JSON object that repeats it. What the path asks for comes
first, in its order: `/wait/0.5` waits so many seconds, `/status/503` answers so, and
`/retry-after/2` adds that header. All of it may be combined: `/wait/0.5/status/503`.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from apps.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable


class Handler(BaseHTTPRequestHandler):
    """Notes each request, and answers it."""

    protocol_version = "HTTP/1.1"
    ledger: Ledger

    def setup(self) -> None:
        """Note the connection."""
        super().setup()
        self.ledger.write("connection")

    def answer(self) -> None:
        """Note the request, then do as its path says."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = {
            "method": self.command,
            "path": self.path,
            "headers": dict(self.headers.items()),
            "body": body.decode("latin-1"),
        }
        self.ledger.write("request", **request)
        asked = self.path.partition("?")[0].strip("/").split("/")
        wishes = dict(zip(asked[::2], asked[1::2], strict=False))
        time.sleep(float(wishes.get("wait", 0)))
        content = json.dumps(request).encode()
        self.send_response(int(wishes.get("status", 200)))
        if "retry-after" in wishes:
            self.send_header("Retry-After", wishes["retry-after"])
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def __getattr__(self, name: str) -> Callable[[], None]:
        """Whatever the method: the base class asks for `do_GET` and the like."""
        if name.startswith("do_"):
            return self.answer
        raise AttributeError(name)


def main(host: str, port: str, ledger: str) -> None:
    """Serve until the process is ended."""
    # The first process of a container is ended by no signal that it does not handle.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    Handler.ledger = Ledger(ledger)
    ThreadingHTTPServer.request_queue_size = 128
    with ThreadingHTTPServer((host, int(port)), Handler) as server:
        Handler.ledger.write("listening")
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
