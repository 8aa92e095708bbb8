"""As ``requests.api``."""

from requests.api import *

from tieline.requests._api import delete as delete
from tieline.requests._api import get as get
from tieline.requests._api import head as head
from tieline.requests._api import options as options
from tieline.requests._api import patch as patch
from tieline.requests._api import post as post
from tieline.requests._api import put as put
from tieline.requests._api import request as request
