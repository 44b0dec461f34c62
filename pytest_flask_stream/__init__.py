"""Read a streamed Flask response as a server would, chunk by chunk, and make claims about it.

Every name that a test uses or annotates is importable from here. The modules behind the names are
imported when a name is first asked for: a suite in which the plugin is installed but unused loads
nothing of Flask through it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .client import StreamClient as StreamClient
    from .decoders import Part as Part
    from .decoders import ServerSentEvent as ServerSentEvent
    from .errors import ChunksNotKept as ChunksNotKept
    from .errors import DecodeError as DecodeError
    from .errors import EndlessStream as EndlessStream
    from .errors import StreamClosed as StreamClosed
    from .errors import StreamError as StreamError
    from .errors import StreamServerError as StreamServerError
    from .errors import StreamTimeout as StreamTimeout
    from .errors import StreamTruncated as StreamTruncated
    from .live.client import LiveStreamClient as LiveStreamClient
    from .live.response import LiveStreamedResponse as LiveStreamedResponse
    from .live.response import Wire as Wire
    from .plugin import MakeStreamClient as MakeStreamClient
    from .record import ChunkRecord as ChunkRecord
    from .record import StreamRecord as StreamRecord
    from .settings import StreamSettings as StreamSettings
    from .source import Source as Source
    from .stream import StreamedResponse as StreamedResponse
    from .tape import Teardown as Teardown

_HOMES = {
    "ChunkRecord": "record",
    "ChunksNotKept": "errors",
    "DecodeError": "errors",
    "EndlessStream": "errors",
    "LiveStreamClient": "live.client",
    "LiveStreamedResponse": "live.response",
    "MakeStreamClient": "plugin",
    "Part": "decoders",
    "ServerSentEvent": "decoders",
    "Source": "source",
    "StreamClient": "client",
    "StreamClosed": "errors",
    "StreamError": "errors",
    "StreamRecord": "record",
    "StreamServerError": "errors",
    "StreamSettings": "settings",
    "StreamTimeout": "errors",
    "StreamTruncated": "errors",
    "StreamedResponse": "stream",
    "Teardown": "tape",
    "Wire": "live.response",
}

__all__ = [
    "ChunkRecord",
    "ChunksNotKept",
    "DecodeError",
    "EndlessStream",
    "LiveStreamClient",
    "LiveStreamedResponse",
    "MakeStreamClient",
    "Part",
    "ServerSentEvent",
    "Source",
    "StreamClient",
    "StreamClosed",
    "StreamError",
    "StreamRecord",
    "StreamServerError",
    "StreamSettings",
    "StreamTimeout",
    "StreamTruncated",
    "StreamedResponse",
    "Teardown",
    "Wire",
]
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{home}", __name__), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
