"""Classes that are ours and the client's at once, and instances of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tieline.errors import TielineError, picklable, picklable_args, rebuild

if TYPE_CHECKING:
    from collections.abc import Mapping


_fused: dict[tuple[type[Any], ...], type[TielineError]] = {}
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
    if _is_fused(native):
        # Another verdict of ours on the same error takes the place of the first.
        return fused(ours, native.__bases__[1])
    bases = (ours, native)
    known = _fused.get(bases)
    if known is None:
        body = {"__module__": "tieline", "__doc__": ours.__doc__, "__reduce__": _reduce}
        known = _fused.setdefault(bases, type(ours.__name__, bases, body))
    return known


def _is_fused(cls: type[BaseException]) -> bool:
    return _fused.get(cls.__bases__) is cls


def _reduce(error: TielineError) -> tuple[Any, ...]:
    """Pickle by the two classes: the fused one has no name to be found by."""
    cls = type(error)
    if not _is_fused(cls):
        # A subclass that somebody made of a fused class is found by its name, like any other.
        return TielineError.__reduce__(error)
    ours, native = cls.__bases__
    state = picklable(_native_state(error, native))
    return _unpickle, (ours, native, picklable_args(error.args), state)


def _native_state(error: TielineError, native: type[BaseException]) -> dict[str, Any]:
    """The attributes as the native class would pickle them: psycopg keeps its ``diag`` that way."""
    # psycopg's writes into the error that it is asked about, so it is asked about another one.
    twin = rebuild(type(error), error.args, error.__dict__)
    try:
        reduced = native.__reduce__(twin)
    except Exception:  # noqa: BLE001 - a foreign __reduce__ may raise anything
        return error.__dict__
    state = reduced[2] if isinstance(reduced, tuple) and len(reduced) > 2 else None  # noqa: PLR2004
    return {**error.__dict__, **state} if isinstance(state, dict) else error.__dict__


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
        original: What the client raised, whose arguments and attributes carry over to a class of
            that client.
        message: One line.
        facts: Our attributes.
    """
    cls = fused(ours, native)
    message = " ".join(message.splitlines())
    args: tuple[Any, ...] = (message,)
    state: dict[str, Any] = {}
    if native is not None and isinstance(original, native):
        args = original.args
    elif native is not None:
        # Attributes that native code expects on every instance are set by native initialisers.
        state |= _blank(native)
    if native is not None and original is not None:
        state |= original.__dict__
    state.pop("__notes__", None)
    return rebuild(cls, args, {**state, **facts, "_message": message})


def _blank(native: type[BaseException]) -> dict[str, Any]:
    """The attributes that a bare instance of the native class has."""
    if native not in _blanks:
        try:
            _blanks[native] = dict(native("").__dict__)
        except Exception:  # noqa: BLE001 - a foreign initialiser may raise anything
            # Most want more arguments (a pool, a URL): class defaults must do.
            _blanks[native] = {}
    return _blanks[native]
