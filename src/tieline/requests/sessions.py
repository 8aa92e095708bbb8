"""As ``requests.sessions``."""

from requests.sessions import *

from tieline.requests._adapter import HTTPAdapter as HTTPAdapter
from tieline.requests._session import Session as Session
from tieline.requests._session import session as session
