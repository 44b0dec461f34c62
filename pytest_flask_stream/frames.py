"""Places in the user's code: which function, which file, which line.

A failure text is worth reading when it names the user's line. A line is the user's when it
belongs neither to the machinery between a server and a view (Flask, Werkzeug and what they are
made of), nor to the test runner, nor to the standard library, nor to this package. Frames are
told apart by the module that their code says it is in, so that nothing has to be imported here.
"""

from __future__ import annotations

import inspect
import linecache
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from types import CodeType, FrameType, TracebackType
from typing import Any, NamedTuple

_SERVERS = {"waitress"}
_RUNNERS = {"pytest", "_pytest", "pluggy"}
_FLASK = {"flask", "werkzeug", "jinja2", "markupsafe", "blinker", "click", "asgiref"}
_MACHINERY = _FLASK | _SERVERS | _RUNNERS
_NAMELESS = frozenset({"<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>", "<lambda>"})
_MOST_DECORATOR_LINES = 30
_PACKAGE = __name__.partition(".")[0]
_IN_THE_APP = {f"{_PACKAGE}.probes", f"{_PACKAGE}.source"}
_MIDDLEWARE = "werkzeug.middleware."


class Place(NamedTuple):
    """A line of code; ``str()`` gives ``file:line  source``."""

    function: str
    path: str
    line: int

    @property
    def source(self) -> str:
        """The text of the line, or ``""`` where there is no file."""
        return linecache.getline(self.path, self.line).strip()

    def __str__(self) -> str:
        place = f"{_shown_path(self.path)}:{self.line}"
        return f"{place}  {self.source}" if self.source else place


def place_of_code(code: CodeType) -> Place:
    """Where a function is defined, below its decorators."""
    first = line = code.co_firstlineno
    while code.co_name != "<lambda>" and line < first + _MOST_DECORATOR_LINES:
        source = linecache.getline(code.co_filename, line).strip()
        if source.startswith(("def ", "async def ", "class ")):
            return Place(code.co_name, code.co_filename, line)
        line += 1
    return Place(code.co_name, code.co_filename, first)


def place_of_view(view: Callable[..., object], method: str) -> Place | None:
    """Where a view is defined, below what wraps it; ``None`` where that is not in the user's code.

    Of a class based view it is what answers requests of such a ``method``.
    """
    for of_class, function in _candidates(view, method):
        code = getattr(inspect.unwrap(function), "__code__", None)
        if code is not None and _package(function.__module__) not in _MACHINERY:
            place = place_of_code(code)
            return place._replace(function=of_class + place.function)
    return None


def _candidates(view: Callable[..., object], method: str) -> Iterator[tuple[str, Any]]:
    view_class = getattr(view, "view_class", None)  # documented by Flask
    if view_class is not None:
        for name in (method.lower(), "get", "dispatch_request"):  # GET answers a HEAD too
            if hasattr(view_class, name):
                yield f"{view_class.__name__}.", getattr(view_class, name)
        return
    function: Any = inspect.unwrap(view)
    while isinstance(function, partial):
        function = inspect.unwrap(function.func)
    if hasattr(function, "__code__"):
        yield "", function
    else:
        yield f"{type(function).__name__}.", type(function).__call__


def _package(module: object) -> str:
    return str(module).partition(".")[0]


def iter_outward(frame: FrameType | None) -> Iterator[FrameType]:
    """Walk from a frame to its callers."""
    while frame is not None:
        yield frame
        frame = frame.f_back


def nearest_user_place(frame: FrameType | None) -> Place | None:
    """Find the innermost line of the user in a stack, seen from ``frame`` outward."""
    for outer in iter_outward(frame):
        if is_user_frame(outer):
            return _current_place(outer)
    return None


def iter_outward_in_app(frame: FrameType | None) -> Iterator[FrameType]:
    """Walk from a frame to its callers, up to where this package has called the app.

    What is beyond is the test's.
    """
    for outer in iter_outward(frame):
        if package_of(outer) == _PACKAGE and outer.f_globals["__name__"] not in _IN_THE_APP:
            return
        yield outer


def reading_place(frame: FrameType | None) -> Place | None:
    """Find the line of the app that reads a body: the user's, else a middleware's of Werkzeug."""
    found = None
    for outer in iter_outward_in_app(frame):
        if is_user_frame(outer):
            return _current_place(outer)
        if found is None and outer.f_globals.get("__name__", "").startswith(_MIDDLEWARE):
            found = _current_place(outer)
    return found


def raising_user_place(traceback: TracebackType | None) -> Place | None:
    """Find the innermost line of the app that a traceback went through.

    What is before this package came in is the test's. A line of an installed package (a database
    library, an extension) counts only where there is no other.
    """
    found, own, inside = None, None, False
    while traceback is not None:
        frame = traceback.tb_frame
        if not inside and package_of(frame) == _PACKAGE:
            found, own, inside = None, None, True
        if is_user_frame(frame):
            found = _place(frame, traceback.tb_lineno)
            if not _is_in_installed_package(frame):
                own = found
        traceback = traceback.tb_next
    return own or found


def place_of_error(error: BaseException) -> Place | None:
    """Find the innermost line of the app that raised an error."""
    cause = error.__cause__
    if isinstance(error, RuntimeError) and isinstance(cause, StopIteration):
        # PEP 479: the line of the generator is in the traceback of what it let out.
        return raising_user_place(cause.__traceback__) or raising_user_place(error.__traceback__)
    return raising_user_place(error.__traceback__)


def is_user_frame(frame: FrameType) -> bool:
    """Tell whether the code of a frame is the user's."""
    package = package_of(frame)
    if package in _MACHINERY or package == _PACKAGE:
        return False
    path = frame.f_code.co_filename
    return not path.startswith("<frozen") and not _in_standard_library(path)


def package_of(frame: FrameType) -> str:
    """Name the package that the code of a frame says it is in."""
    return _package(frame.f_globals.get("__name__", ""))


def _current_place(frame: FrameType) -> Place:
    return _place(frame, frame.f_lineno or frame.f_code.co_firstlineno)


def _place(frame: FrameType, line: int) -> Place:
    return Place(_function_name(frame), frame.f_code.co_filename, line)


def _function_name(frame: FrameType) -> str:
    code = frame.f_code
    outer = frame.f_back
    # A comprehension is run by the function that it stands in; a lambda by whoever calls it.
    if code.co_name in _NAMELESS and outer is not None and is_user_frame(outer):
        return _function_name(outer)
    # `co_qualname` is there from Python 3.11 on; a method's class helps the reader.
    name: str = getattr(code, "co_qualname", code.co_name)
    name = name.removesuffix(".<locals>.<genexpr>")
    return name.rpartition("<locals>.")[2]


def _is_in_installed_package(frame: FrameType) -> bool:
    # A compiled module's code names a path of the machine that it was built on.
    module_path = str(frame.f_globals.get("__file__", ""))
    return _is_installed(frame.f_code.co_filename) or _is_installed(module_path)


def _is_installed(path: str) -> bool:
    return "site-packages" in path or "dist-packages" in path


@cache
def _in_standard_library(path: str) -> bool:
    if _is_installed(path):
        return False
    roots = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
    return any(path.startswith((root + "/", root + "\\")) for root in roots)


def _shown_path(path: str) -> str:
    """Give a path as short as it can be read: from the working directory where it is below that."""
    try:
        return Path(path).relative_to(Path.cwd()).as_posix()
    except ValueError:
        return path


def stack_of_thread(ident: int) -> FrameType | None:
    """Give the innermost frame that a thread is in now, if it lives."""
    return sys._current_frames().get(ident)  # documented, though its name begins with "_"


def clear_frames(raised: TracebackType | None) -> None:
    """Let the frames of a traceback forget their locals."""
    traceback.clear_frames(raised)
    for frame, _ in traceback.walk_tb(raised):
        # Up to Python 3.12 who has asked for the locals (pytest does, of a test that fails, and
        # Werkzeug's server of any error) has made a copy of them, in the frame, which only forgets
        # them when it is asked for again.
        _locals = frame.f_locals
