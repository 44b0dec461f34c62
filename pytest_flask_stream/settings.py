"""The four settings, their defaults, and what is a valid value.

They are written in an ini file, in a marker, in a call or on a client; all of these come here to
be checked, so that a bad value is refused with the same words everywhere. Nothing of Flask is
imported: the plugin checks the ini file and the markers of suites that use no stream at all.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypedDict, cast


class StreamSettings(TypedDict, total=False):
    """What can be set, as keywords.

    ``timeout``
        Seconds that the app may keep the test waiting on one stream, opening, pulls and closing
        added up; ``0`` or ``None`` turns it off. Default 10.0.
    ``max_chunks``
        A call that reads to the end gives up when the stream gives more chunks than this, with
        :class:`~pytest_flask_stream.EndlessStream`. Default 1,000,000.
    ``keep_bytes``
        So many bytes of a body are kept. Default 67,108,864 (64 MiB).
    ``isolate``
        Whether the stream is kept from seeing Flask's contexts of the test. Default ``True``.
    """

    timeout: float | None
    max_chunks: int
    keep_bytes: int
    isolate: bool


DEFAULTS = StreamSettings(
    timeout=10.0, max_chunks=1_000_000, keep_bytes=64 * 1024 * 1024, isolate=True
)


def check(settings: Mapping[str, object]) -> StreamSettings:
    """Check settings given as keywords.

    :raises TypeError: for an unknown keyword, or a value of the wrong type.
    :raises ValueError: for a value out of range.
    """
    __tracebackhide__ = True
    for name in settings:
        _spec(name)
    checked: dict[str, object] = {}
    for name, value in settings.items():
        checked[name] = _spec(name).check(name, value)
    return cast("StreamSettings", checked)


def parse(name: str, text: str) -> StreamSettings:
    """Read one setting from the text of an ini file."""
    spec = _spec(name)
    try:
        value = spec.parse(text.strip().replace("_", ""))
    except ValueError:
        raise ValueError(f"{name} must be {spec.meaning}, not {text!r}") from None
    return check({name: value})


def _check_timeout(name: str, value: object) -> float | None:
    __tracebackhide__ = True
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _wrong_type(name, value)
    if not value >= 0:  # NaN too
        raise _wrong_value(name, value)
    return float(value) if 0 < value < threading.TIMEOUT_MAX else None


def _check_max_chunks(name: str, value: object) -> int:
    __tracebackhide__ = True
    return _check_count(name, value, 1)


def _check_keep_bytes(name: str, value: object) -> int:
    __tracebackhide__ = True
    return _check_count(name, value, 0)


def _check_count(name: str, value: object, least: int) -> int:
    __tracebackhide__ = True
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong_type(name, value)
    if value < least:
        raise _wrong_value(name, value)
    return value


def _check_flag(name: str, value: object) -> bool:
    __tracebackhide__ = True
    if not isinstance(value, bool):
        raise _wrong_type(name, value)
    return value


def _parse_timeout(text: str) -> float | None:
    return None if text.lower() == "none" else float(text)


def _parse_flag(text: str) -> bool:
    flags = {"true": True, "yes": True, "on": True, "1": True}
    flags |= {"false": False, "no": False, "off": False, "0": False}
    if text.lower() not in flags:
        raise ValueError
    return flags[text.lower()]


class _Spec(NamedTuple):
    meaning: str
    check: Callable[[str, object], object]
    parse: Callable[[str], object]


_SPECS = {
    "timeout": _Spec(
        "seconds, at least 0, or None (0 and None: off)", _check_timeout, _parse_timeout
    ),
    "max_chunks": _Spec("an int, at least 1", _check_max_chunks, int),
    "keep_bytes": _Spec("an int, at least 0", _check_keep_bytes, int),
    "isolate": _Spec("True or False", _check_flag, _parse_flag),
}


def _spec(name: str) -> _Spec:
    __tracebackhide__ = True
    try:
        return _SPECS[name]
    except KeyError:
        raise TypeError(
            f"there is no setting {name!r}; the settings are {', '.join(_SPECS)}"
        ) from None


def _wrong_type(name: str, value: object) -> TypeError:
    return TypeError(f"{name} must be {_spec(name).meaning}, not {value!r}")


def _wrong_value(name: str, value: object) -> ValueError:
    return ValueError(f"{name} must be {_spec(name).meaning}, not {value!r}")
