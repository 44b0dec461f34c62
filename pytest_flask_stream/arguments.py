"""Checks of what claims are called with. Everything wrong is told before anything is read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import repeat


def check_count(name: str, value: object, least: int) -> None:
    """Refuse what is no number of things."""
    __tracebackhide__ = True
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an int, at least {least}, not {value!r:.80}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, not {value}")


def count_bounds(
    n: int | None, at_least: int | None, at_most: int | None
) -> tuple[int, int | None]:
    """Check the arguments of a count, and give its bounds."""
    __tracebackhide__ = True
    if n is None and at_least is None and at_most is None:
        raise TypeError("assert_chunk_count() needs n, at_least= or at_most=")
    if n is not None and (at_least is not None or at_most is not None):
        raise TypeError("assert_chunk_count() takes n, or at_least= and at_most=, not both")
    for name, value in (("n", n), ("at_least", at_least), ("at_most", at_most)):
        if value is not None:
            check_count(name, value, 0)
    if n is not None:
        return n, n
    least = at_least or 0
    if at_most is None and not least:
        raise ValueError("at_least=0 holds of every stream: claim something")
    if at_most is not None and least > at_most:
        raise ValueError(f"at_least={least} is more than at_most={at_most}")
    return least, at_most


def byte_strings(name: str, values: Iterable[bytes | str]) -> list[bytes]:
    """Give several strings as bytes."""
    __tracebackhide__ = True
    return list(map(byte_string, repeat(name), listed(name, values)))  # has no frame of its own


def listed(name: str, values: Iterable[bytes | str]) -> list[bytes | str]:
    """Give a list of several strings; one string is none."""
    __tracebackhide__ = True
    if isinstance(values, (bytes, str, bytearray, memoryview)) or not hasattr(values, "__iter__"):
        raise TypeError(f"{name} must be a list of bytes or str, not {values!r:.80}")
    return list(values)


def byte_string(name: str, value: object) -> bytes:
    """Give one string as bytes; ``str`` means UTF-8."""
    __tracebackhide__ = True
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bytes):
        return value
    raise TypeError(f"{name} must be bytes or str, and {value!r:.80} is {type(value).__name__}")


def exception_types(exception_type: object) -> tuple[type[BaseException], ...]:
    """Give one or several exception classes as a tuple."""
    __tracebackhide__ = True
    types = exception_type if isinstance(exception_type, tuple) else (exception_type,)
    if not types or not all(isinstance(t, type) and issubclass(t, BaseException) for t in types):
        raise TypeError(f"exception_type must be an exception class, not {exception_type!r:.80}")
    return types


def pattern_of(match: str | None) -> re.Pattern[str] | None:
    """Compile a regular expression."""
    __tracebackhide__ = True
    if match is None:
        return None
    if not isinstance(match, str):
        raise TypeError(f"match must be a str, a regular expression, not {match!r:.80}")
    try:
        return re.compile(match)
    except re.error as error:
        text = f"match must be a regular expression, and {match!r} is none: {error}"
    raise ValueError(text)
