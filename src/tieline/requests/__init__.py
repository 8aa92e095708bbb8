"""requests, with sessions that repeat what is safe, and name the true cause of failure."""

import urllib3 as urllib3
from requests import ConnectionError as ConnectionError
from requests import ConnectTimeout as ConnectTimeout
from requests import HTTPError as HTTPError
from requests import JSONDecodeError as JSONDecodeError
from requests import PreparedRequest as PreparedRequest
from requests import ReadTimeout as ReadTimeout
from requests import Request as Request
from requests import RequestException as RequestException
from requests import Response as Response
from requests import Timeout as Timeout
from requests import TooManyRedirects as TooManyRedirects
from requests import URLRequired as URLRequired
from requests import auth as auth
from requests import certs as certs
from requests import codes as codes
from requests import compat as compat
from requests import cookies as cookies
from requests import exceptions as exceptions
from requests import hooks as hooks
from requests import models as models
from requests import packages as packages
from requests import status_codes as status_codes
from requests import structures as structures
from requests import utils as utils
from requests.__version__ import __version__ as __version__
from requests.exceptions import FileModeWarning as FileModeWarning
from requests.exceptions import RequestsDependencyWarning as RequestsDependencyWarning
from urllib3.exceptions import DependencyWarning as DependencyWarning

from tieline.requests import adapters as adapters
from tieline.requests import api as api
from tieline.requests import sessions as sessions
from tieline.requests._api import delete as delete
from tieline.requests._api import get as get
from tieline.requests._api import head as head
from tieline.requests._api import options as options
from tieline.requests._api import patch as patch
from tieline.requests._api import post as post
from tieline.requests._api import put as put
from tieline.requests._api import request as request
from tieline.requests._session import Session as Session
from tieline.requests._session import session as session

__all__ = [
    "ConnectTimeout",
    "ConnectionError",
    "HTTPError",
    "JSONDecodeError",
    "PreparedRequest",
    "ReadTimeout",
    "Request",
    "RequestException",
    "Response",
    "Session",
    "Timeout",
    "TooManyRedirects",
    "URLRequired",
    "codes",
    "delete",
    "get",
    "head",
    "options",
    "packages",
    "patch",
    "post",
    "put",
    "request",
    "session",
    "utils",
]
