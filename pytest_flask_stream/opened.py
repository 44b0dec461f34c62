"""Which streams the running test has opened, for the report of a failed one.

The plugin sets the list around each test; a client appends to it what it opens, wherever the
client was made. There is nothing of pytest and nothing of Flask in here, so that either side can
do without the other. Outside of a test the variable has no value.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

opened_in_test: ContextVar[list[Any]] = ContextVar("pytest_flask_stream.opened_in_test")
"""The records of the streams, oldest first (``StreamRecord`` cannot be named without Flask)."""
