"""websockets, with connections that know what to do when the server fails."""

from contextlib import suppress
from typing import TYPE_CHECKING

from websockets import ClientProtocol as ClientProtocol
from websockets import Close as Close
from websockets import CloseCode as CloseCode
from websockets import ConcurrencyError as ConcurrencyError
from websockets import ConnectionClosed as ConnectionClosed
from websockets import ConnectionClosedError as ConnectionClosedError
from websockets import ConnectionClosedOK as ConnectionClosedOK
from websockets import Data as Data
from websockets import DuplicateParameter as DuplicateParameter
from websockets import ExtensionName as ExtensionName
from websockets import ExtensionParameter as ExtensionParameter
from websockets import Frame as Frame
from websockets import Headers as Headers
from websockets import HeadersLike as HeadersLike
from websockets import InvalidHandshake as InvalidHandshake
from websockets import InvalidHeader as InvalidHeader
from websockets import InvalidHeaderFormat as InvalidHeaderFormat
from websockets import InvalidHeaderValue as InvalidHeaderValue
from websockets import InvalidMessage as InvalidMessage
from websockets import InvalidOrigin as InvalidOrigin
from websockets import InvalidParameterName as InvalidParameterName
from websockets import InvalidParameterValue as InvalidParameterValue
from websockets import InvalidProxy as InvalidProxy
from websockets import InvalidProxyMessage as InvalidProxyMessage
from websockets import InvalidProxyStatus as InvalidProxyStatus
from websockets import InvalidState as InvalidState
from websockets import InvalidStatus as InvalidStatus
from websockets import InvalidUpgrade as InvalidUpgrade
from websockets import InvalidURI as InvalidURI
from websockets import LoggerLike as LoggerLike
from websockets import MultipleValuesError as MultipleValuesError
from websockets import NegotiationError as NegotiationError
from websockets import Opcode as Opcode
from websockets import Origin as Origin
from websockets import PayloadTooBig as PayloadTooBig
from websockets import Protocol as Protocol
from websockets import ProtocolError as ProtocolError
from websockets import ProxyError as ProxyError
from websockets import Request as Request
from websockets import Response as Response
from websockets import SecurityError as SecurityError
from websockets import Server as Server
from websockets import ServerConnection as ServerConnection
from websockets import ServerProtocol as ServerProtocol
from websockets import Side as Side
from websockets import State as State
from websockets import StatusLike as StatusLike
from websockets import Subprotocol as Subprotocol
from websockets import WebSocketException as WebSocketException
from websockets import __version__ as __version__  # type: ignore[attr-defined]  # a public name
from websockets import basic_auth as basic_auth
from websockets import broadcast as broadcast
from websockets import serve as serve
from websockets import unix_serve as unix_serve

from tieline.websockets import asyncio as asyncio
from tieline.websockets import client as client
from tieline.websockets import datastructures as datastructures
from tieline.websockets import exceptions as exceptions
from tieline.websockets import extensions as extensions
from tieline.websockets import frames as frames
from tieline.websockets import headers as headers
from tieline.websockets import http11 as http11
from tieline.websockets import protocol as protocol
from tieline.websockets import typing as typing
from tieline.websockets import uri as uri
from tieline.websockets._connect_aio import connect as connect
from tieline.websockets._connect_aio import unix_connect as unix_connect
from tieline.websockets._connection_aio import ClientConnection as ClientConnection

__all__ = [
    "ClientConnection",
    "ClientProtocol",
    "Close",
    "CloseCode",
    "ConcurrencyError",
    "ConnectionClosed",
    "ConnectionClosedError",
    "ConnectionClosedOK",
    "Data",
    "DuplicateParameter",
    "ExtensionName",
    "ExtensionParameter",
    "Frame",
    "Headers",
    "HeadersLike",
    "InvalidHandshake",
    "InvalidHeader",
    "InvalidHeaderFormat",
    "InvalidHeaderValue",
    "InvalidMessage",
    "InvalidOrigin",
    "InvalidParameterName",
    "InvalidParameterValue",
    "InvalidProxy",
    "InvalidProxyMessage",
    "InvalidProxyStatus",
    "InvalidState",
    "InvalidStatus",
    "InvalidURI",
    "InvalidUpgrade",
    "LoggerLike",
    "MultipleValuesError",
    "NegotiationError",
    "Opcode",
    "Origin",
    "PayloadTooBig",
    "Protocol",
    "ProtocolError",
    "ProxyError",
    "Request",
    "Response",
    "SecurityError",
    "Server",
    "ServerConnection",
    "ServerProtocol",
    "Side",
    "State",
    "StatusLike",
    "Subprotocol",
    "WebSocketException",
    "basic_auth",
    "broadcast",
    "connect",
    "serve",
    "unix_connect",
    "unix_serve",
]

with suppress(ImportError):
    from websockets import HeaderLineTooLong as HeaderLineTooLong

    __all__ += ["HeaderLineTooLong"]

with suppress(ImportError):
    from websockets import InvalidMethod as InvalidMethod

    __all__ += ["InvalidMethod"]

with suppress(ImportError):
    from websockets import InvalidProtocol as InvalidProtocol

    __all__ += ["InvalidProtocol"]

with suppress(ImportError):
    from websockets import RequestLineTooLong as RequestLineTooLong

    __all__ += ["RequestLineTooLong"]

with suppress(ImportError):
    from websockets import StatusLineTooLong as StatusLineTooLong

    __all__ += ["StatusLineTooLong"]

with suppress(ImportError):
    from websockets import TooManyFragments as TooManyFragments

    __all__ += ["TooManyFragments"]

with suppress(ImportError):
    from websockets import TooManyHeaders as TooManyHeaders

    __all__ += ["TooManyHeaders"]

with suppress(ImportError):
    from websockets import Router as Router

    __all__ += ["Router"]

with suppress(ImportError):
    from websockets import route as route

    __all__ += ["route"]

with suppress(ImportError):
    from websockets import unix_route as unix_route

    __all__ += ["unix_route"]

if not TYPE_CHECKING:
    from websockets import __getattr__ as __getattr__
