"""As ``urllib3.poolmanager``."""

from tieline.urllib3._manager import PoolManager as PoolManager
from tieline.urllib3._manager import ProxyManager as ProxyManager
from tieline.urllib3._manager import proxy_from_url as proxy_from_url
