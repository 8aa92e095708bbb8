"""requests and urllib3, native and ours, used in one way: one test states a rule for all of them."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CLIENTS = ("requests", "urllib3", "urllib3-raw")
"""The last one is urllib3 with ``retries=False``: it raises what happened as it is."""


@dataclass(frozen=True)
class Answer:
    """What came back.

    Attributes:
        status: The status.
        headers: The headers.
        body: The body; empty for a stream.
        raw: The client's own object.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    raw: Any


@dataclass(frozen=True)
class Client:
    """One client.

    Attributes:
        name: One of `CLIENTS`.
        ours: Whether it is the drop-in.
    """

    name: str
    ours: bool

    @property
    def is_requests(self) -> bool:
        """Whether it is requests."""
        return self.name == "requests"

    @property
    def repeats(self) -> bool:
        """Whether its caller left repeating to it."""
        return self.name != "urllib3-raw"

    @property
    def alone(self) -> Client:
        """The native client of that name."""
        return Client(self.name, ours=False)

    @property
    def module(self) -> Any:
        """The package."""
        package = "requests" if self.is_requests else "urllib3"
        return import_module(f"tieline.{package}" if self.ours else package)

    @contextmanager
    def open(
        self, *, ca: str | None = None, proxy: str | None = None, **options: Any
    ) -> Iterator[Sender]:
        """A session or pool manager.

        Args:
            ca: File of the certificate to trust.
            proxy: URL of a proxy for everything.
            **options: For the constructor.
        """
        if self.is_requests:
            with self.module.Session(**options) as session:
                session.trust_env = False
                session.verify = ca or True
                if proxy:
                    session.proxies = {"http": proxy, "https": proxy}
                yield Sender(self, session)
            return
        if ca:
            options["ca_certs"] = ca
        make = self.module.PoolManager
        if proxy:
            options["proxy_url"] = proxy
            make = self.module.ProxyManager
        with make(**options) as manager:
            yield Sender(self, manager)


@dataclass
class Sender:
    """A session or a pool manager, asked in one way.

    Attributes:
        client: Which client it is of.
        raw: The session or pool manager.
    """

    client: Client
    raw: Any
    defaults: dict[str, Any] = field(default_factory=dict)

    def send(
        self,
        method: str,
        url: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        *,
        stream: bool = False,
        **options: Any,
    ) -> Answer:
        """Send a request and take the answer."""
        options = self.defaults | options
        if self.client.is_requests:
            response = self.raw.request(
                method, url, data=body, headers=headers, stream=stream, **options
            )
            content = b"" if stream else response.content
            return Answer(response.status_code, response.headers, content, response)
        if self.client.name == "urllib3-raw":
            options.setdefault("retries", False)
        response = self.raw.request(
            method, url, body=body, headers=headers, preload_content=not stream, **options
        )
        content = b"" if stream else response.data
        return Answer(response.status, response.headers, content, response)

    def get(self, url: str, **options: Any) -> Answer:
        """Send a GET."""
        return self.send("GET", url, **options)
