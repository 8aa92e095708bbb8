"""How a call ends, for whoever turns that into an exception."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tieline.engine import clock as clock_module
from tieline.rules.http import answer_class
from tieline.rules.http_native import reason
from tieline.rules.translate import final_error
from tieline.urllib3._settings import CLIENT, Settings

if TYPE_CHECKING:
    from tieline.policy.call import Call
    from tieline.policy.decision import Raise

_MARK = "_tieline_ending"


class Ending(NamedTuple):
    """A call that has failed.

    Attributes:
        call: Its history.
        decision: Why it ends.
        pool: The pool.
        url: The URL as urllib3 was given it.
    """

    call: Call
    decision: Raise
    pool: Any
    url: str

    def error(self, native: Exception | None, settings: Settings) -> BaseException:
        """What the pool raises.

        Args:
            native: What urllib3 would raise; None where no attempt was made.
            settings: Of the pool. If its callers see another client than urllib3, that one makes
                something of the native error first, and is left to `fused`.
        """
        if settings.client == CLIENT or native is None:
            error = self.fused(native, CLIENT)
        else:
            error = native
        error.__dict__[_MARK] = self
        return error

    def fused(self, native: BaseException | None, client: str) -> BaseException:
        """Our error, which is the client's too.

        Args:
            native: What the client would raise, or has raised; None where no attempt was made.
            client: Whose native bases our own verdicts take.
        """
        attempts = self.call.attempts
        ours = answer_class(attempts[-1].failure) if attempts else None
        now = clock_module.active.now()
        error = final_error(self.call, self.decision, native, client, now, ours=ours)
        if native is not None:
            # OpenSSL's words for what it did not like, say, which ours have no room for.
            error.add_note(f"{client}: {reason(native)}")
        elif client == CLIENT:
            # Whoever catches what urllib3 raises for a server that cannot be had looks at these.
            error.__dict__.update(pool=self.pool, url=self.url, reason=None)
        return error


def ending_of(error: BaseException) -> Ending | None:
    """How the call ended that this came out of a pool for; None if a pool of ours has no part in it."""
    found = error.__dict__.get(_MARK)
    return found if isinstance(found, Ending) else None
