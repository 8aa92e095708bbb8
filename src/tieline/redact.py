"""The one redactor: what may be shown of a conninfo or URL.

It parses and does not search: what is shown is put together from the parts that are no secret,
and of what does not parse nothing is shown at all. Userinfo and the values of parameters are
masked, keys are kept, a fragment is dropped.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HIDDEN: Final = "(not shown, it may hold a password)"
"""In place of what does not parse."""

MASK: Final = "***"

PLACE: Final = ("host", "hostaddr", "port")
"""Parameters of libpq that say where to connect."""

_SHOWN: Final = frozenset({*PLACE, "dbname"})
"""Parameters of libpq whose values are shown."""

_KNOWN: Final = frozenset(
    {
        "application_name",
        "channel_binding",
        "client_encoding",
        "connect_timeout",
        "dbname",
        "fallback_application_name",
        "gssdelegation",
        "gssencmode",
        "gsslib",
        "host",
        "hostaddr",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "krbsrvname",
        "load_balance_hosts",
        "max_protocol_version",
        "min_protocol_version",
        "oauth_client_id",
        "oauth_client_secret",
        "oauth_issuer",
        "oauth_scope",
        "options",
        "passfile",
        "password",
        "port",
        "replication",
        "require_auth",
        "requirepeer",
        "requiressl",
        "scram_client_key",
        "scram_server_key",
        "service",
        "servicefile",
        "ssl",
        "ssl_max_protocol_version",
        "ssl_min_protocol_version",
        "sslcert",
        "sslcertmode",
        "sslcompression",
        "sslcrl",
        "sslcrldir",
        "sslkey",
        "sslkeylogfile",
        "sslmode",
        "sslnegotiation",
        "sslpassword",
        "sslrootcert",
        "sslsni",
        "target_session_attrs",
        "tcp_user_timeout",
        "user",
    }
)
"""Parameters of libpq 18. Another word may be a piece of a password that was not quoted."""

# Compiled when they are first needed, which in many a process is never.
_POSTGRES: Final = ("postgresql://", "postgres://")
_ASSIGNMENT: Final = r"\s*([^\s=]*)\s*"
_QUOTED: Final = r"(?s)'((?:\\.|[^'\\])*)'"
_BARE: Final = r"(?s)(?:\\.|[^\s\\])*\\?"
_ESCAPE: Final = r"(?s)\\(.?)"
_BAD_PERCENT: Final = r"%(?![0-9A-Fa-f]{2})|%00"
_SCHEME: Final = r"[A-Za-z][A-Za-z0-9+.-]*"
_HOST: Final = r"[\w.%~-]+|\[[0-9A-Fa-f:.]+(?:%[\w.~-]+)?\]"
_SOUND_HOST: Final = r"[\w.%~:-]*|[/@][\w.%~/ -]*"
_SOUND_NAME: Final = r"[\w.~$+ -]*"


class Unreadable(ValueError):
    """A text is no conninfo or URL; the message says why, and holds nothing of it."""


def conninfo(text: str) -> str:
    """A conninfo of libpq, as words or as a URL, without its secrets.

    >>> conninfo("host=db password='it is'")
    'host=db password=***'
    >>> conninfo("postgresql://app:pw@db:5432/orders?sslmode=require")
    'postgresql://***@db:5432/orders?sslmode=***'

    Args:
        text: What libpq takes.
    """
    try:
        parameters = conninfo_parameters(text)
    except Unreadable:
        return HIDDEN
    if not _KNOWN.issuperset(parameters) or not _plausible(parameters):
        return HIDDEN
    if text.startswith(_POSTGRES):
        return _as_url(text, parameters)
    return " ".join(
        f"{name}={value if name in _SHOWN else MASK}" for name, value in parameters.items()
    )


def url(text: str) -> str:
    """A URL without its secrets.

    >>> url("https://app:pw@api.example/v1?token=abc#top")
    'https://***@api.example/v1?token=***'

    Args:
        text: The URL, absolute.
    """
    if text.startswith(_POSTGRES):
        return conninfo(text)
    try:
        scheme, netloc, path, query = url_parts(text)
    except Unreadable:
        return HIDDEN
    userinfo, _, place = netloc.rpartition("@")
    shown = f"{scheme}://{MASK}@{place}" if userinfo else f"{scheme}://{place}"
    return f"{shown}{path}{_masked_query(query)}"


def reference(text: str) -> str:
    """A URL, or the part of one behind the host, without its secrets.

    >>> reference("/v1/pay?token=abc")
    '/v1/pay?token=***'

    Args:
        text: Absolute, or from the path on, as an HTTP request has it.
    """
    if not text.startswith("/"):
        return url(text)
    origin = "http://host"
    return url(f"{origin}{text}").removeprefix(origin)


def url_parts(text: str) -> tuple[str, str, str, str]:
    """Scheme, network location, path and query of a URL.

    Args:
        text: The URL, absolute.

    Raises:
        Unreadable: It is none, or a part of its userinfo may have spilled into the rest.
    """
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise Unreadable("a bad host or port") from None
    place = parts.netloc.rpartition("@")[2]
    host = place if port is None else place.removesuffix(f":{place.rpartition(':')[2]}")
    if not re.fullmatch(_SCHEME, parts.scheme) or not text.isprintable() or " " in text:
        raise Unreadable("no absolute URL")
    if not re.fullmatch(_HOST, host.removesuffix(":")):
        raise Unreadable("a bad host or port")
    if "@" in parts.path + parts.query + parts.fragment:
        raise Unreadable("an @ behind the host (write %40), or one of / ? # in the userinfo")
    return parts.scheme, parts.netloc, parts.path, parts.query


def _masked_query(query: str) -> str:
    if not query:
        return ""
    pairs = (item.partition("=") for item in query.split("&"))
    return "?" + "&".join(f"{name}={MASK}" if equals else MASK for name, equals, _ in pairs)


def _plausible(parameters: Mapping[str, str]) -> bool:
    """Whether what would be shown of them looks like what it should be."""
    hosts = [*_items(parameters, "host"), *_items(parameters, "hostaddr")]
    return (
        all(re.fullmatch(_SOUND_HOST, host) for host in hosts)
        and all(not port or port.isdecimal() for port in _items(parameters, "port"))
        and re.fullmatch(_SOUND_NAME, parameters.get("dbname", "")) is not None
    )


def _items(parameters: Mapping[str, str], name: str) -> list[str]:
    return [item.strip() for item in parameters.get(name, "").split(",")]


def _as_url(text: str, parameters: Mapping[str, str]) -> str:
    start = text.index("://") + 3
    rest, shown = text[start:], text[:start]
    userinfo = _userinfo(rest)
    if userinfo is not None:
        rest, shown = rest[len(userinfo) + 1 :], f"{shown}{MASK}@"
    place, _, query = rest.partition("?")
    database = f"/{parameters['dbname']}" if parameters.get("dbname") else ""
    return f"{shown}{place.partition('/')[0]}{database}{_masked_query(query)}"


def conninfo_parameters(text: str) -> dict[str, str]:
    """The parameters of a conninfo, as libpq reads them; it alone knows which ones there are.

    Args:
        text: Words such as ``host=db``, or a ``postgresql://`` URL.

    Raises:
        Unreadable: It is neither.
    """
    return dict(_uri(text) if text.startswith(_POSTGRES) else _words(text))


def _words(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text) and not text[at:].isspace():
        found = re.compile(_ASSIGNMENT).match(text, at)
        assert found is not None  # noqa: S101 - every part of the pattern may be empty
        name, at = found[1], found.end()
        if not name or text[at : at + 1] != "=":
            raise Unreadable("a word without =")
        at += 1
        while text[at : at + 1].isspace():
            at += 1
        quoted = text[at : at + 1] == "'"
        value = re.compile(_QUOTED if quoted else _BARE).match(text, at)
        if value is None:
            raise Unreadable("a quote that is not closed")
        at = value.end()
        yield name, re.sub(_ESCAPE, r"\1", value[1] if quoted else value[0])


def _userinfo(rest: str) -> str | None:
    """The part before the first @, if no / comes before it."""
    found = re.match(r"([^@/]*)@", rest)
    return None if found is None else found[1]


def _uri(text: str) -> Iterator[tuple[str, str]]:
    rest = text[text.index("://") + 3 :]
    userinfo = _userinfo(rest)
    if userinfo is not None:
        rest = rest[len(userinfo) + 1 :]
        user, colon, password = userinfo.partition(":")
        if user:
            yield "user", _decoded(user)
        if colon and password:
            yield "password", _decoded(password)
    places, rest = _places(rest)
    for name, items in zip(("host", "port"), zip(*places, strict=True), strict=True):
        if ",".join(items):
            yield name, _decoded(",".join(items))
    database, _, query = rest.partition("?")
    if database[1:]:
        yield "dbname", _decoded(database[1:])
    yield from _query(query)


def _query(query: str) -> Iterator[tuple[str, str]]:
    for item in query.split("&") if query else ():
        name, equals, value = item.partition("=")
        if not equals:
            raise Unreadable("a parameter without =")
        if "=" in value:
            raise Unreadable("a parameter with two =")
        yield _decoded(name), _decoded(value)


def _places(rest: str) -> tuple[list[tuple[str, str]], str]:
    """Hosts with their ports, and what follows them."""
    places: list[tuple[str, str]] = []
    while True:
        if rest[:1] == "[":
            host, closed, rest = rest[1:].partition("]")
            if not closed or not host:
                raise Unreadable("an IPv6 address without its brackets")
            if rest and rest[0] not in ":/?,":
                raise Unreadable("a character where none can be")
        else:
            host = re.split("[:/?,]", rest, maxsplit=1)[0]
            rest = rest[len(host) :]
        port = ""
        if rest[:1] == ":":
            port = re.split("[/?,]", rest[1:], maxsplit=1)[0]
            rest = rest[1 + len(port) :]
        places.append((host, port))
        if rest[:1] != ",":
            return places, rest
        rest = rest[1:]


def _decoded(text: str) -> str:
    from urllib.parse import unquote

    if re.search(_BAD_PERCENT, text):
        raise Unreadable("a % that begins no escape (write %25)")
    try:
        return unquote(text, errors="strict")
    except UnicodeError:
        raise Unreadable("not valid Unicode") from None
