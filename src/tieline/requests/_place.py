"""Where the environment says that a named target is, and what it is to be told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from requests.utils import default_headers

from tieline.requests._error import CLIENT
from tieline.urllib3._origin import absolute, endpoint_of
from tieline.urllib3._settings import settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, MutableMapping

    from tieline.policy.policy import Policy


class Place(NamedTuple):
    """A target as a session sees it.

    Attributes:
        url: What relative URLs are below; None where nothing says.
        headers: Secret headers, as a rule. They go to the origin of that URL and nowhere else;
            without one, nowhere.
    """

    url: str | None
    headers: Mapping[str, str]

    def absolute(self, url: str) -> str:
        """The URL itself, or where it is below that of the target.

        Args:
            url: As given to the session.
        """
        return absolute(self.url, url)

    def missing(
        self, url: str, given: Mapping[str, object], session: Mapping[str, object]
    ) -> Iterator[tuple[str, str]]:
        """Headers of the target that a request to this URL has to get.

        Args:
            url: Where it goes.
            given: Headers given with the request; they win.
            session: Headers of the session; they win where somebody has set them.
        """
        if not self.headers or not self.holds(url):
            return
        built_in = default_headers()
        for name, value in self.headers.items():
            if name not in given and session.get(name) == built_in.get(name):
                yield name, value

    def withdraw(self, url: str, headers: MutableMapping[str, Any]) -> None:
        """Take the headers of the target off a request that goes elsewhere.

        Args:
            url: Where it goes.
            headers: Of the request.
        """
        if self.headers and not self.holds(url):
            for name, value in self.headers.items():
                if headers.get(name) == value:
                    del headers[name]

    def holds(self, url: str) -> bool:
        """Whether a URL is of the target's origin: scheme, host and port."""
        if self.url is None:
            return False
        try:
            return endpoint_of(url) == endpoint_of(self.url)
        except ValueError:
            return False


def place(target: str | None, policy: Policy | None) -> Place:
    """What the environment says of a target now.

    Args:
        target: Its name.
        policy: Settings given in code.

    Raises:
        ConfigError: It makes no sense.
    """
    found = settings(CLIENT, target, policy)
    return Place(found.url, found.headers)
