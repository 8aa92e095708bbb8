"""Configuration by the environment: what operations decide about a target that code only names.

``TIELINE_RETRY__MAX_ATTEMPTS=4`` holds for every target, and
``TIELINE_TARGETS__ORDERS_DB__RETRY__MAX_ATTEMPTS=4`` for the target ``orders-db``. The variables
are read when a client is built, and never at import.
"""

from tieline.config.resolve import resolve as resolve
from tieline.config.target import Origin as Origin
from tieline.config.target import Resolved as Resolved
from tieline.config.target import Source as Source
from tieline.config.target import Target as Target

__all__ = ["Origin", "Resolved", "Source", "Target", "resolve"]
