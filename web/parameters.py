"""Parameters of a query string, declared once: the declaration both reads a value and describes it in OpenAPI.

Values are strings until they have passed: a repeated parameter never becomes a list that something else could read.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Final

from web.errors import BadParameters, Problem

#: The largest integer that JavaScript holds exactly.
MAX_INTEGER: Final = 2**53 - 1

_INTEGER = re.compile(r"\A-?[0-9]{1,16}\Z")

Values = Mapping[str, str | list[str]]


@dataclass(frozen=True)
class Parameter:
    """Any text; the subclasses narrow it."""

    name: str
    description: str
    _: KW_ONLY
    required: bool = False
    default: Any = None
    example: Any = None

    @property
    def expected(self) -> str:
        """What a value must be, as an error says it."""
        return "a text"

    @property
    def schema(self) -> dict[str, Any]:
        """What a value must be, as JSON Schema says it."""
        return {"type": "string"}

    def parse(self, text: str) -> Any:
        """The value.

        Raises:
            ValueError: If the text is not what is expected.
        """
        return text


@dataclass(frozen=True)
class Text(Parameter):
    """A text of a pattern, which is anchored at both ends in OpenAPI's way (``^…$``)."""

    _: KW_ONLY
    pattern: str
    wanted: str

    @property
    def expected(self) -> str:
        """What a value must be, as an error says it."""
        return self.wanted

    @property
    def schema(self) -> dict[str, Any]:
        """What a value must be, as JSON Schema says it."""
        return {"type": "string", "pattern": self.pattern}

    def parse(self, text: str) -> str:
        """The text itself; ``fullmatch``, because ``$`` lets a last line feed pass."""
        if not re.fullmatch(self.pattern, text):
            raise ValueError(text)
        return text


@dataclass(frozen=True)
class Integer(Parameter):
    """A whole number in decimal digits, from ``low`` to ``high``, both inclusive."""

    _: KW_ONLY
    low: int
    high: int

    @property
    def expected(self) -> str:
        """What a value must be, as an error says it."""
        return f"an integer from {self.low} to {self.high}"

    @property
    def schema(self) -> dict[str, Any]:
        """What a value must be, as JSON Schema says it."""
        return {"type": "integer", "minimum": self.low, "maximum": self.high}

    def parse(self, text: str) -> int:
        """The number; a pattern rather than int() alone, which accepts "1_000", " 5" and digits of other scripts."""
        if not _INTEGER.match(text) or not self.low <= int(text) <= self.high:
            raise ValueError(text)
        return int(text)


@dataclass(frozen=True)
class Choice(Parameter):
    """One of a few words."""

    _: KW_ONLY
    options: Sequence[str]

    @property
    def expected(self) -> str:
        """What a value must be, as an error says it."""
        return f"one of {', '.join(self.options)}"

    @property
    def schema(self) -> dict[str, Any]:
        """What a value must be, as JSON Schema says it."""
        return {"type": "string", "enum": list(self.options)}

    def parse(self, text: str) -> str:
        """The word itself."""
        if text not in self.options:
            raise ValueError(text)
        return text


def read(values: Values, parameters: Sequence[Parameter]) -> dict[str, Any]:
    """The value of every parameter by its name, or its default; parameters that are not declared are ignored.

    Raises:
        BadParameters: If any is repeated, missing or not what was expected; it names each.
    """
    problems, result = [], {}
    for parameter in parameters:
        name, given = parameter.name, values.get(parameter.name)
        result[name] = parameter.default
        if given is None:
            if parameter.required:
                problems.append(Problem(name, "", parameter.expected))
        elif isinstance(given, list):
            problems.append(Problem(name, ", ".join(given), "the parameter once"))
        else:
            try:
                result[name] = parameter.parse(given)
            except ValueError:
                problems.append(Problem(name, given, parameter.expected))
    if problems:
        raise BadParameters(tuple(problems))
    return result
