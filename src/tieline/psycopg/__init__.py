"""psycopg 3, with connections that know what to do when the server fails."""

from psycopg import BINARY as BINARY
from psycopg import DATETIME as DATETIME
from psycopg import NUMBER as NUMBER
from psycopg import ROWID as ROWID
from psycopg import STRING as STRING
from psycopg import AsyncClientCursor as AsyncClientCursor
from psycopg import AsyncCopy as AsyncCopy
from psycopg import AsyncCursor as AsyncCursor
from psycopg import AsyncPipeline as AsyncPipeline
from psycopg import AsyncRawCursor as AsyncRawCursor
from psycopg import AsyncRawServerCursor as AsyncRawServerCursor
from psycopg import AsyncServerCursor as AsyncServerCursor
from psycopg import AsyncTransaction as AsyncTransaction
from psycopg import BaseConnection as BaseConnection
from psycopg import Binary as Binary
from psycopg import Capabilities as Capabilities
from psycopg import ClientCursor as ClientCursor
from psycopg import Column as Column
from psycopg import ConnectionInfo as ConnectionInfo
from psycopg import Copy as Copy
from psycopg import Cursor as Cursor
from psycopg import DatabaseError as DatabaseError
from psycopg import DataError as DataError
from psycopg import Date as Date
from psycopg import DateFromTicks as DateFromTicks
from psycopg import Error as Error
from psycopg import IntegrityError as IntegrityError
from psycopg import InterfaceError as InterfaceError
from psycopg import InternalError as InternalError
from psycopg import IsolationLevel as IsolationLevel
from psycopg import Notify as Notify
from psycopg import NotSupportedError as NotSupportedError
from psycopg import OperationalError as OperationalError
from psycopg import Pipeline as Pipeline
from psycopg import ProgrammingError as ProgrammingError
from psycopg import RawCursor as RawCursor
from psycopg import RawServerCursor as RawServerCursor
from psycopg import Rollback as Rollback
from psycopg import ServerCursor as ServerCursor
from psycopg import Time as Time
from psycopg import TimeFromTicks as TimeFromTicks
from psycopg import Timestamp as Timestamp
from psycopg import TimestampFromTicks as TimestampFromTicks
from psycopg import Transaction as Transaction
from psycopg import Warning as Warning
from psycopg import Xid as Xid
from psycopg import __version__ as __version__
from psycopg import abc as abc
from psycopg import adapt as adapt
from psycopg import adapters as adapters
from psycopg import apilevel as apilevel
from psycopg import capabilities as capabilities
from psycopg import client_cursor as client_cursor
from psycopg import connection as connection
from psycopg import connection_async as connection_async
from psycopg import conninfo as conninfo
from psycopg import copy as copy
from psycopg import cursor as cursor
from psycopg import cursor_async as cursor_async
from psycopg import dbapi20 as dbapi20
from psycopg import errors as errors
from psycopg import generators as generators
from psycopg import paramstyle as paramstyle
from psycopg import postgres as postgres
from psycopg import pq as pq
from psycopg import raw_cursor as raw_cursor
from psycopg import rows as rows
from psycopg import sql as sql
from psycopg import threadsafety as threadsafety
from psycopg import transaction as transaction
from psycopg import types as types
from psycopg import version as version
from psycopg import waiting as waiting

from tieline.psycopg._connection import Connection as Connection
from tieline.psycopg._connection_aio import AsyncConnection as AsyncConnection

connect = Connection.connect

__all__ = [
    "BINARY",
    "DATETIME",
    "NUMBER",
    "ROWID",
    "STRING",
    "AsyncClientCursor",
    "AsyncConnection",
    "AsyncCopy",
    "AsyncCursor",
    "AsyncPipeline",
    "AsyncRawCursor",
    "AsyncRawServerCursor",
    "AsyncServerCursor",
    "AsyncTransaction",
    "BaseConnection",
    "Binary",
    "Capabilities",
    "ClientCursor",
    "Column",
    "Connection",
    "ConnectionInfo",
    "Copy",
    "Cursor",
    "DataError",
    "DatabaseError",
    "Date",
    "DateFromTicks",
    "Error",
    "IntegrityError",
    "InterfaceError",
    "InternalError",
    "IsolationLevel",
    "NotSupportedError",
    "Notify",
    "OperationalError",
    "Pipeline",
    "ProgrammingError",
    "RawCursor",
    "RawServerCursor",
    "Rollback",
    "ServerCursor",
    "Time",
    "TimeFromTicks",
    "Timestamp",
    "TimestampFromTicks",
    "Transaction",
    "Warning",
    "Xid",
    "apilevel",
    "capabilities",
    "connect",
    "paramstyle",
    "threadsafety",
]
