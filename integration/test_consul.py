"""A real Consul agent that answers, is stopped, is killed, or loses its leader."""

from __future__ import annotations

import http.client
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tieline.endpoint import Endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator
