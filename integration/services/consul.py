"""What a test can ask of a Consul agent."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any

from integration.services.service import Service

# An agent holds a question back for 7 s while it has no leader.
TIMEOUT = 15.0


@dataclass(frozen=True)
class Answer:
    """What an agent said.

    Attributes:
        status: HTTP's.
        headers: By their names, which are in lower case.
        text: The body.
    """

    status: int
    headers: dict[str, str]
    text: str

    @property
    def value(self) -> Any:
        """The body, which is JSON."""
        return json.loads(self.text)


class ConsulService(Service):
    """A Consul agent, a server itself; what it knows is on disk."""

    def ask(
        self, path: str, *, method: str = "GET", body: Any = None, timeout: float = TIMEOUT
    ) -> Answer:
        """Ask it over HTTP, on a connection for this question alone.

        Args:
            path: From `/v1/` on, with its query.
            method: HTTP's.
            body: Sent as JSON, unless it is None.
            timeout: Seconds for each wait.

        Raises:
            OSError: It did not answer.
            http.client.HTTPException: It broke off.
        """
        client = http.client.HTTPConnection(*self.address, timeout=timeout)
        try:
            client.request(method, path, None if body is None else json.dumps(body))
            response = client.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, headers, response.read().decode())
        finally:
            client.close()

    @property
    def leader(self) -> str:
        """Address and port of the leader it knows; empty if it knows none."""
        return str(self.ask("/v1/status/leader").value)

    @property
    def version(self) -> str:
        """Of its program."""
        return str(self.ask("/v1/agent/self").value["Config"]["Version"])

    def _ready(self) -> bool:
        """Whether it knows a leader, without which it answers no question."""
        try:
            return bool(self.leader)
        except (OSError, http.client.HTTPException, ValueError):
            return False


def configuration(data: str, **more: Any) -> dict[str, Any]:
    """How each of our agents is set up.

    Args:
        data: Its directory.
        more: More settings, or others.
    """
    return {
        "server": True,
        "bootstrap_expect": 1,
        "data_dir": data,
        "client_addr": "0.0.0.0",
        # A server that is told to end comes back as the one that it was.
        "leave_on_terminate": False,
        "skip_leave_on_interrupt": True,
        # Elections take less than a second.
        "performance": {"raft_multiplier": 1},
        # Nothing is asked of the world outside.
        "disable_update_check": True,
        "ports": {"grpc": -1, "dns": -1},
        **more,
    }
