"""Whether somebody looks at the app in a debugger: time stands still for as long."""

from __future__ import annotations

import sys

_DEBUGGERS = frozenset({"pdb", "bdb", "pydevd", "_pydevd_bundle", "debugpy", "ipdb", "pudb"})


class Debugging:
    """What is known of debuggers: pytest tells of its own, others are found where they trace."""

    def __init__(self) -> None:
        self.suspended_at: float = 0.0
        """The clock when pytest entered its debugger, 0.0 while it is in none."""

    @property
    def active(self) -> bool:
        """Whether somebody is looking at the app in a debugger."""
        return bool(self.suspended_at) or _debugger_is_tracing()


def _debugger_is_tracing() -> bool:
    trace = sys.gettrace()
    module = getattr(trace, "__module__", None) or type(trace).__module__
    if trace is not None and module.partition(".")[0] in _DEBUGGERS:
        return True  # pragma: no cover - a debugger is the tracer then
    monitoring = getattr(sys, "monitoring", None)  # Python 3.12 and newer
    return monitoring is not None and monitoring.get_tool(monitoring.DEBUGGER_ID) is not None


debugging: Debugging = Debugging()
"""One for the process, as the debugger is."""
