"""urllib3, with pools that know how far each request came, and repeat what is safe."""

from urllib3 import BaseHTTPResponse as BaseHTTPResponse
from urllib3 import HTTPHeaderDict as HTTPHeaderDict
from urllib3 import HTTPResponse as HTTPResponse
from urllib3 import Retry as Retry
from urllib3 import Timeout as Timeout
from urllib3 import add_stderr_logger as add_stderr_logger
from urllib3 import connection as connection
from urllib3 import disable_warnings as disable_warnings
from urllib3 import encode_multipart_formdata as encode_multipart_formdata
from urllib3 import exceptions as exceptions
from urllib3 import fields as fields
from urllib3 import filepost as filepost
from urllib3 import make_headers as make_headers
from urllib3 import response as response
from urllib3 import util as util
from urllib3._version import __version__ as __version__

from tieline.urllib3 import connectionpool as connectionpool
from tieline.urllib3 import poolmanager as poolmanager
from tieline.urllib3._manager import PoolManager as PoolManager
from tieline.urllib3._manager import ProxyManager as ProxyManager
from tieline.urllib3._manager import proxy_from_url as proxy_from_url
from tieline.urllib3._manager import request as request
from tieline.urllib3._pool import HTTPConnectionPool as HTTPConnectionPool
from tieline.urllib3._pool import HTTPSConnectionPool as HTTPSConnectionPool
from tieline.urllib3._pool import connection_from_url as connection_from_url

__all__ = [
    "BaseHTTPResponse",
    "HTTPConnectionPool",
    "HTTPHeaderDict",
    "HTTPResponse",
    "HTTPSConnectionPool",
    "PoolManager",
    "ProxyManager",
    "Retry",
    "Timeout",
    "add_stderr_logger",
    "connection_from_url",
    "disable_warnings",
    "encode_multipart_formdata",
    "make_headers",
    "proxy_from_url",
    "request",
]
