"""The settings of a policy, one layer on top of the other, each with its origin."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from tieline.config import names, values
from tieline.config.target import Origin, Source
from tieline.errors import ConfigError
from tieline.policy.policy import ATTEMPTS_IN_WINDOW, NAMED, ORDERED, PARTS, Policy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DURATIONS: Final = "; write 250ms, 5s or 2m"


class Layers:
    """A policy in the making.

    Args:
        policy: The lowest layer: what is built in.
        client: Whose default that is.

    Attributes:
        origins: Setting -> where its value comes from.
        problems: What is wrong so far, one line each.
    """

    def __init__(self, policy: Policy, client: str) -> None:
        """Begin with what is built in."""
        self._client = client
        self._built = policy
        self._values: dict[str, Any] = {}
        self._texts: dict[str, str] = {}
        self.origins: dict[str, Origin] = {}
        self.problems: list[str] = []
        for name, value in asdict(policy).items():
            self._put(name, value, Origin(Source.DEFAULT, client))

    def add(self, variables: Mapping[str, str], prefix: str) -> None:
        """Put the variables that begin so on top.

        Args:
            variables: Variable -> what it says.
            prefix: What comes before the setting.
        """
        off: dict[str, str] = {}
        for name, words in names.wholes().items():
            variable = prefix + names.of_setting(name)
            text = variables.get(variable)
            if text is None:
                continue
            self.problems += values.one_of(variable, text, words)
            if text.lower() == names.NONE:
                off[name] = variable
                self._put(name, None, Origin(Source.VARIABLE, variable))
            elif text.lower() in words:
                found = asdict(NAMED[name][text.lower()])
                self._put(name, found, Origin(Source.VARIABLE, variable))
        for ending, path in names.settings().items():
            variable, part = prefix + ending, path.partition(".")[0]
            text = variables.get(variable)
            if text is None:
                continue
            if part in off:
                self.problems.append(
                    f"{variable}={values.shown(text)}: contradicts {off[part]}={names.NONE!r}"
                )
                continue
            if path not in self._values:
                # A lower layer says none; whoever sets a part of it wants it back.
                self._put(part, asdict(PARTS[part][0]()), Origin(Source.DEFAULT, self._client))
            self._values[path] = values.value(path, text)
            self._texts[path] = text
            self.origins[path] = Origin(Source.VARIABLE, variable)

    def _put(self, name: str, value: Any, origin: Origin) -> None:
        """Replace a setting with all that is inside it."""
        for known in [path for path in self._values if path.partition(".")[0] == name]:
            del self._values[known], self.origins[known]
            self._texts.pop(known, None)
        found = {name: value}
        if name in PARTS and value is not None:
            found = {f"{name}.{inner}": given for inner, given in value.items()}
        self._values |= found
        self.origins |= dict.fromkeys(found, origin)

    def policy(self) -> Policy | None:
        """What they come to; None, and problems, where they make no sense."""
        if all(origin.source is Source.DEFAULT for origin in self.origins.values()):
            return self._built
        self._fit()
        try:
            return Policy(**self._arguments())
        except ConfigError as error:
            self.problems += map(self._named, self._causes(error.problems))
            return None

    def _arguments(self) -> dict[str, Any]:
        """The values, put together to the parts of a policy."""
        arguments: dict[str, Any] = {}
        for path, value in self._values.items():
            name, nested, inner = path.partition(".")
            if nested:
                arguments.setdefault(name, {})[inner] = value
            else:
                arguments[name] = value
        for name in arguments.keys() & PARTS:
            cls: Callable[..., object] = PARTS[name][0]
            if arguments[name] is not None:
                arguments[name] = cls(**arguments[name])
        return arguments

    def _fit(self) -> None:
        """Bring what is built in in line with what is given.

        Who says that calls may take 3 s is not to be told that an attempt takes 5 s by default.
        """
        for small, large in ORDERED:
            low, high = self._number(small), self._number(large)
            if low is not None and high is not None and low > high:
                if self._is_given(large):
                    self._lend(large, small, high)
                else:
                    self._lend(small, large, low)
        attempt, window = self._number("attempt_timeout"), self._number("breaker.window")
        if attempt is not None and window is not None and self._is_given("attempt_timeout"):
            least = ATTEMPTS_IN_WINDOW * attempt
            if window < least and self._values["breaker.rate"] is not None:
                self._lend("attempt_timeout", "breaker.window", least)

    def _lend(self, given: str, built: str, value: float) -> None:
        if not self._is_given(built):
            origin = self.origins[given]
            fitted = origin.fitted or origin.name
            self._values[built] = value
            self.origins[built] = Origin(Source.DEFAULT, self._client, fitted)

    def _is_given(self, path: str) -> bool:
        return self.origins[path].source is not Source.DEFAULT

    def _number(self, path: str) -> float | None:
        value = self._values.get(path)
        return value if isinstance(value, (int, float)) else None

    def _causes(self, problems: tuple[str, ...]) -> list[str]:
        """Those with what is given; a default that was fitted to nonsense is no problem of its own."""
        given = [problem for problem in problems if self._is_given(problem.partition("=")[0])]
        return given or [*problems]

    def _named(self, problem: str) -> str:
        """The problem with the variables that it came from, in the words of variables."""
        problem = problem.replace("(or None", f"(or {names.NONE}")
        for path, value in self._values.items():
            said = f"{path}={value!r}"
            if said in problem:
                text, origin = self._texts.get(path), self.origins[path]
                source = f"{said} ({origin})" if text is None else f"{origin}={values.shown(text)}"
                problem = problem.replace(said, source)
                problem += DURATIONS if isinstance(value, str) and values.is_duration(path) else ""
        return problem
