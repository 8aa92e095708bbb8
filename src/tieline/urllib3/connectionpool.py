"""As ``urllib3.connectionpool``."""

from urllib3.connectionpool import *

from tieline.urllib3._pool import HTTPConnectionPool as HTTPConnectionPool
from tieline.urllib3._pool import HTTPSConnectionPool as HTTPSConnectionPool
from tieline.urllib3._pool import connection_from_url as connection_from_url
