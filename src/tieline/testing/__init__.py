"""What users test with: time, faults and failures under their control.

- `ManualClock`: waits take no time, and backoff and breakers can be stepped through.
- `FaultServer`: a real socket that refuses, cuts, stays silent or talks nonsense.
- `FaultProxy`: the way to a real server, refused, stalled, delayed or cut, and mended again.
- `simulate`: a client that fails as told, without any server.
- `RecordingListener`: what happened, as a list.
"""

from __future__ import annotations

from tieline.engine.target import reset_targets
from tieline.testing.clock import ManualClock
from tieline.testing.faults import FaultServer
from tieline.testing.proxy import FaultProxy
from tieline.testing.recording import RecordingListener
from tieline.testing.simulation import simulate

__all__ = [
    "FaultProxy",
    "FaultServer",
    "ManualClock",
    "RecordingListener",
    "reset_targets",
    "simulate",
]
