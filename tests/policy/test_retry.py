"""Which failures forbid another attempt."""

from __future__ import annotations

import pytest

from tieline.failure import Failure, Kind, Phase, Safety
from tieline.policy.retry import Reason, repeatable


@pytest.mark.parametrize(
    ("safety", "applied", "sent", "idempotent", "reason"),
    [
        (Safety.ALWAYS, False, False, False, None),
        (Safety.ALWAYS, False, True, False, Reason.SENT),
        (Safety.ALWAYS, False, True, True, None),
        (Safety.IF_IDEMPOTENT, True, True, False, Reason.SENT),
        (Safety.IF_IDEMPOTENT, False, False, False, Reason.SENT),
        (Safety.IF_IDEMPOTENT, True, True, True, None),
        (Safety.NEVER, False, False, True, Reason.HOPELESS),
        (Safety.NEVER, False, True, True, Reason.HOPELESS),
        (Safety.NEVER, True, True, True, Reason.SENT),
    ],
)
def test_repeatable(
    safety: Safety, applied: bool, sent: bool, idempotent: bool, reason: Reason | None
) -> None:
    """Nothing sent, or the caller's word: nothing else makes repeating right."""
    failure = Failure(Phase.RECEIVE, Kind.EOF, safety, maybe_applied=applied)
    assert repeatable(failure, sent=sent, idempotent=idempotent) is reason
