"""Where in the app a stack is: what the watchdog asks of a line before it interrupts it."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from types import FrameType

from .frames import Place, is_user_frame, iter_outward, package_of

_PACKAGE = __name__.partition(".")[0]
_MEASURING = "coverage"  # it holds a lock in its lines; left in there by us, nobody would free it
_ASYNC_BRIDGE = "asgiref"
_FINALIZING_MODULES = frozenset({"weakref", "_weakrefset"})
_CALLERS_OF_THE_APP = {f"{_PACKAGE}.{name}" for name in ("first_pull", "gateway", "pulling")}


def iter_app(frame: FrameType | None) -> Iterator[FrameType]:
    """Walk outward from a frame as far as the app goes."""
    for outer in iter_outward(frame):
        if _module(outer) in _CALLERS_OF_THE_APP:
            return
        yield outer


def stuck_place(frame: FrameType | None) -> Place | None:
    """Find the innermost line of the user in the app; without one, the innermost line at all.

    The coroutine of an ``async def`` view is run in another thread, while this one waits in
    asgiref: no line of its own says where the view is, and there is ``None``.
    """
    innermost, awaited = None, False
    for outer in iter_app(frame):
        code = outer.f_code
        line = outer.f_lineno or code.co_firstlineno  # none in some bytecode of Python 3.10
        place = Place(code.co_name, code.co_filename, line)
        if is_user_frame(outer):
            return place
        if innermost is None and not is_ours(outer):
            innermost = place
        awaited = awaited or package_of(outer) == _ASYNC_BRIDGE
        if awaited and code.co_name == "dispatch_request":  # documented by Flask: calls the view
            return None
    return innermost


def is_in_finalizer(frame: FrameType | None) -> bool:
    """Tell whether the app is inside of something that Python lets raise nothing."""
    callbacks = {getattr(callback, "__code__", None) for callback in gc.callbacks}
    for outer in iter_app(frame):
        code = outer.f_code
        if code.co_name == "__del__" or code in callbacks or _module(outer) in _FINALIZING_MODULES:
            return True
    return False


def is_ours(frame: FrameType | None) -> bool:
    """Tell whether a frame is one of this package's."""
    return frame is not None and package_of(frame) == _PACKAGE


def is_measuring(frame: FrameType | None) -> bool:
    """Tell whether a frame is one of what measures the coverage of the app."""
    return frame is not None and package_of(frame) == _MEASURING


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))
