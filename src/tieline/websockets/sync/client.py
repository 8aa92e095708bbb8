"""As ``websockets.sync.client``."""

from tieline.websockets._connect import connect as connect
from tieline.websockets._connect import reconnect as reconnect
from tieline.websockets._connect import unix_connect as unix_connect
from tieline.websockets._connect import unix_reconnect as unix_reconnect
from tieline.websockets._connection import ClientConnection as ClientConnection
