"""Classes that are ours and the client's at once, and instances of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tieline.errors import TielineError, picklable, rebuild

if TYPE_CHECKING:
    from collections.abc import Mapping


_fused: dict[tuple[type[TielineError], type[BaseException]], type[TielineError]] = {}
_blanks: dict[type[BaseException], dict[str, Any]] = {}


def fused(ours: type[TielineError], native: type[BaseException] | None) -> type[TielineError]:
    """The class that is both; made once for each pair.

    Ours comes first, so that its ``str()`` and pickling hold; the native class stays whole behind
    it, with the attributes it carries on the class (psycopg's ``sqlstate``).

    Raises:
        TypeError: The two cannot share one memory layout.
    """
    if native is None or issubclass(ours, native):
        return ours
    if issubclass(native, ours):
        return native
    bases = (ours, native)
    known = _fused.get(bases)
    if known is None:
        body = {"__module__": "tieline", "__doc__": ours.__doc__, "__reduce__": _reduce}
        known = _fused.setdefault(bases, type(ours.__name__, bases, body))
    return known


def _reduce(error: TielineError) -> tuple[Any, ...]:
    """Pickle by the two classes: the fused one has no name to be found by."""
    ours, native = type(error).__bases__
    return _unpickle, (ours, native, error.args, picklable(error.__dict__))


def _unpickle(
    ours: type[TielineError],
    native: type[BaseException],
    args: tuple[Any, ...],
    state: dict[str, Any],
) -> TielineError:
    return rebuild(fused(ours, native), args, state)


def fuse(
    ours: type[TielineError],
    native: type[BaseException] | None,
    original: BaseException | None,
    message: str,
    facts: Mapping[str, Any],
) -> TielineError:
    """An instance of the fused class.

    Args:
        ours: Our class.
        native: The native class.
        original: What the client raised, whose arguments and attributes carry over.
        message: One line.
        facts: Our attributes.
    """
    cls = fused(ours, native)
    args = (message,) if original is None else original.args
    state = {} if original is None else dict(original.__dict__)
    if original is None and native is not None:
        # Attributes that native code expects on every instance are set by native initialisers.
        state.update(_blank(native))
    state.pop("__notes__", None)
    return rebuild(cls, args, {**state, **facts, "_message": message})


def _blank(native: type[BaseException]) -> dict[str, Any]:
    """The attributes that a bare instance of the native class has."""
    if native not in _blanks:
        try:
            _blanks[native] = dict(native("").__dict__)
        except TypeError:
            # Initialisers with more mandatory arguments (a pool, a URL): class defaults must do.
            _blanks[native] = {}
    return _blanks[native]
