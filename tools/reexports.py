"""Writes the re-exports of a drop-in: explicit names, one line for each public submodule.

    python -m tools.reexports

Type checkers and readers see every name, and a test compares the result with the native module.
Run it when a client has a new release, and look at the difference.
"""

from __future__ import annotations

import importlib
import pkgutil
import warnings
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ROOT = Path(__file__).parent.parent / "src" / "tieline"


class DropIn(NamedTuple):
    """What a drop-in puts in the place of native names.

    Attributes:
        doc: The docstring of the package.
        own: Module of ours and the names that come from it.
        lines: Further lines at the end.
        without: Native names left out: imports of its own that no user means.
        more: Submodule -> names in use that ``import *`` would leave out.
        newer: Names that older releases have not, or only where another package is installed.
        modules: Submodules that are attributes as well, ours in place of the client's.
        deprecated: Modules, empty for the package, whose deprecated names come by ``__getattr__``.
        version: Submodule that ``__version__`` is taken from, where type checkers do not find it
            in the package.
        inside: Submodule -> name -> module of ours that it comes from there.
    """

    doc: str
    own: dict[str, tuple[str, ...]]
    lines: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    more: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    newer: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    deprecated: tuple[str, ...] = ()
    inside: Mapping[str, Mapping[str, str]] = MappingProxyType({})
    version: str = ""


_POOL = "tieline.urllib3._pool"
_MANAGER = "tieline.urllib3._manager"
_ADAPTER = "tieline.requests._adapter"
_SESSION = "tieline.requests._session"
_API = "tieline.requests._api"
_FUNCTIONS = ("delete", "get", "head", "options", "patch", "post", "put", "request")

DROP_INS: Final = {
    "psycopg": DropIn(
        doc="psycopg 3, with connections that know what to do when the server fails.",
        own={
            "tieline.psycopg._connection": ("Connection",),
            "tieline.psycopg._connection_aio": ("AsyncConnection",),
        },
        lines=("connect = Connection.connect",),
        without=("connect", "crdb", "logger", "logging"),
        more={
            "crdb": ("adapters", "connect"),
            "pq": ("Escaping", "PGcancel", "PGcancelConn", "PGresult", "__impl__"),
        },
    ),
    "urllib3": DropIn(
        doc="urllib3, with pools that know how far each request came, and repeat what is safe.",
        own={
            _MANAGER: ("PoolManager", "ProxyManager", "proxy_from_url", "request"),
            _POOL: ("HTTPConnectionPool", "HTTPSConnectionPool", "connection_from_url"),
        },
        without=("annotations", "contrib", "http2", "logging", "ssl", "sys", "typing", "warnings"),
        more={"util": ("connection",)},
        version="._version",
        inside={
            "connectionpool": dict.fromkeys(
                ("HTTPConnectionPool", "HTTPSConnectionPool", "connection_from_url"), _POOL
            ),
            "poolmanager": dict.fromkeys(
                ("PoolManager", "ProxyManager", "proxy_from_url"), _MANAGER
            ),
        },
    ),
    "requests": DropIn(
        doc="requests, with sessions that repeat what is safe, and name the true cause of failure.",
        own={_API: _FUNCTIONS, _SESSION: ("Session", "session")},
        # Names of other packages that requests does not export, though applications use them.
        lines=(
            "import urllib3 as urllib3",
            "from requests.exceptions import FileModeWarning as FileModeWarning",
            "from requests.exceptions import RequestsDependencyWarning as RequestsDependencyWarning",
            "from urllib3.exceptions import DependencyWarning as DependencyWarning",
        ),
        without=(
            *("annotations", "chardet_version", "charset_normalizer_version"),
            *("check_compatibility", "help", "logging", "NullHandler", "ssl", "warnings"),
            *("DependencyWarning", "FileModeWarning", "RequestsDependencyWarning", "urllib3"),
        ),
        version=".__version__",
        inside={
            "adapters": {"HTTPAdapter": _ADAPTER},
            "api": dict.fromkeys(_FUNCTIONS, _API),
            "sessions": {
                "HTTPAdapter": _ADAPTER,
                **dict.fromkeys(("Session", "session"), _SESSION),
            },
        },
    ),
    "websockets": DropIn(
        doc="websockets, with connections that know what to do when the server fails.",
        own={
            "tieline.websockets._connect_aio": ("connect", "unix_connect"),
            "tieline.websockets._connection_aio": ("ClientConnection",),
        },
        more={"asyncio.client": ("process_exception",)},
        inside={
            "asyncio.client": {
                "ClientConnection": "tieline.websockets._connection_aio",
                "connect": "tieline.websockets._connect_aio",
                "unix_connect": "tieline.websockets._connect_aio",
            },
            "sync.client": {
                "ClientConnection": "tieline.websockets._connection",
                "connect": "tieline.websockets._connect",
                "reconnect": "tieline.websockets._connect",
                "unix_connect": "tieline.websockets._connect",
                "unix_reconnect": "tieline.websockets._connect",
            },
        },
        without=("TYPE_CHECKING", "annotations", "lazy_import"),
        newer=(
            "HeaderLineTooLong",
            "InvalidMethod",
            "InvalidProtocol",
            "RequestLineTooLong",
            "StatusLineTooLong",
            "TooManyFragments",
            "TooManyHeaders",
            "Router",
            "route",
            "unix_route",
        ),
        modules=(
            "asyncio",
            "client",
            "datastructures",
            "exceptions",
            "extensions",
            "frames",
            "headers",
            "http11",
            "protocol",
            "typing",
            "uri",
        ),
        deprecated=("", "client", "exceptions", "server"),
    ),
}


def public_names(module: ModuleType) -> list[str]:
    """What a module offers: attributes without underscore, and those that it lists."""
    listed: list[str] = getattr(module, "__all__", [])
    return sorted({*listed, *(name for name in vars(module) if not name.startswith("_"))})


def submodules(module: ModuleType) -> list[str]:
    """Dotted names, below the module, of its public submodules."""
    prefix = f"{module.__name__}."
    with warnings.catch_warnings():
        # Of packages that are deprecated: looking for what is in them imports them.
        warnings.simplefilter("ignore", DeprecationWarning)
        names = [found.name for found in pkgutil.walk_packages(module.__path__, prefix)]
    return [name.removeprefix(prefix) for name in names if "._" not in name]


def render(client: str) -> dict[Path, str]:
    """The files of a drop-in's re-exports, by path below its folder."""
    native = importlib.import_module(client)
    drop_in = DROP_INS[client]
    ours = {name for names in drop_in.own.values() for name in names}
    other = {
        *ours,
        *drop_in.inside,
        *drop_in.without,
        *drop_in.newer,
        *(submodules(native) if drop_in.modules else ()),
    }
    taken = [name for name in public_names(native) if name not in other]
    listed = sorted({*native.__all__, *ours} - {*drop_in.newer})
    body = [f'"""{drop_in.doc}"""', ""]
    body += ["from contextlib import suppress"] if drop_in.newer else []
    body += ["from typing import TYPE_CHECKING"] if "" in drop_in.deprecated else []
    body += [f"from {client}{drop_in.version} import __version__ as __version__"]
    body += [f"from {client} import {name} as {name}" for name in taken]
    body += [
        f"from {module} import {name} as {name}"
        for module, names in drop_in.own.items()
        for name in names
    ]
    attributes = drop_in.modules or drop_in.inside
    body += [f"from tieline.{client} import {name} as {name}" for name in attributes]
    body += ["", *drop_in.lines, "", f"__all__ = {listed!r}", ""]
    body += _optional(client, drop_in.newer) + _deprecated(client, drop_in, "")
    files = {Path("__init__.py"): "\n".join(body)}
    below = submodules(native)
    for name in below:
        packaged = any(other.startswith(f"{name}.") for other in below)
        path = (
            Path(*name.split("."), "__init__.py")
            if packaged
            else Path(f"{name.replace('.', '/')}.py")
        )
        lines = [f'"""As ``{client}.{name}``."""', ""]
        lines += ["from typing import TYPE_CHECKING", ""] if name in drop_in.deprecated else []
        ours_inside = drop_in.inside.get(name, {})
        if not (packaged or ours_inside) or _takes_all(f"{client}.{name}", ours_inside):
            lines += [f"from {client}.{name} import *"]
        lines += [
            f"from {client}.{name} import {extra} as {extra}"
            for extra in drop_in.more.get(name, ())
        ]
        lines += [
            f"from {module} import {own} as {own}"
            for own, module in drop_in.inside.get(name, {}).items()
        ]
        files[path] = "\n".join([*lines, "", *_deprecated(client, drop_in, name)])
    return files


def _takes_all(name: str, ours: Mapping[str, str]) -> bool:
    """Whether a module has names of its own that are not replaced.

    A package without any is a place for modules: taking its attributes would put the client's
    modules in the place of ours, as far as they happen to be loaded.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        module = importlib.import_module(name)
    if hasattr(module, "__all__"):
        return {*module.__all__} != {*ours}
    names = public_names(module)
    return any(not isinstance(getattr(module, name), ModuleType) for name in names)


def _optional(client: str, names: Iterable[str]) -> list[str]:
    """Names that are there in newer releases alone."""
    lines = []
    for name in names:
        lines += ["with suppress(ImportError):"]
        lines += [f"    from {client} import {name} as {name}", ""]
        lines += [f'    __all__ += ["{name}"]', ""]
    return lines


def _deprecated(client: str, drop_in: DropIn, name: str) -> list[str]:
    """The client's own way to deprecated names, with its warnings; no type checker sees it."""
    if name not in drop_in.deprecated:
        return []
    module = f"{client}.{name}" if name else client
    return ["if not TYPE_CHECKING:", f"    from {module} import __getattr__ as __getattr__", ""]


def main() -> None:
    """Write the files of all drop-ins."""
    for client in DROP_INS:
        for path, text in render(client).items():
            target = ROOT / client / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)


if __name__ == "__main__":
    main()
