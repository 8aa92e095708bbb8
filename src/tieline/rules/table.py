"""A row of a rule table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tieline.failure import Failure, Kind, Phase, Safety

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, slots=True)
class Rule:
    """What one native code means.

    Attributes:
        kind: What happened.
        phase: The phase it proves, where the code alone proves one.
        repeat: Whether trying again can help.
        unsent: Whether the code proves that the request was not acted on, in any phase.
        hint: Key of the hint text.
    """

    kind: Kind
    phase: Phase | None = None
    repeat: bool = True
    unsent: bool = False
    hint: str = ""

    def failure(self, phase: Phase, *, code: str = "", retry_after: float | None = None) -> Failure:
        """The failure that this rule describes, at that point of an attempt.

        Args:
            phase: How far the attempt had come.
            code: The native code.
            retry_after: Seconds that the server asked for.
        """
        sent = phase in (Phase.SEND, Phase.RECEIVE) and not self.unsent
        safety = Safety.ALWAYS
        if not self.repeat:
            safety = Safety.NEVER
        elif sent:
            safety = Safety.IF_IDEMPOTENT
        answered = self.kind in (Kind.ANSWERED, Kind.CONFLICT)
        return Failure(
            phase=phase,
            kind=self.kind,
            safety=safety,
            code=code,
            hint=self.hint,
            retry_after=retry_after,
            maybe_applied=sent and not answered,
        )


def first(table: Mapping[str, Rule], keys: Iterable[str]) -> tuple[str, Rule] | None:
    """The first of the keys, most specific first, that the table knows, with its rule."""
    for key in keys:
        rule = table.get(key)
        if rule is not None:
            return key, rule
    return None
