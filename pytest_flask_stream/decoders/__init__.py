"""Decoders: the values in a body, from its chunks.

One module per format, each with a decoder that does no I/O and can be used on its own: bytes in,
values out. :class:`Decoder` is what all of them are, :class:`Decoding` pulls chunks for one as they
are needed, and :class:`Decoders` gives a response its ``iter_*`` methods::

    decoder = SSEDecoder()
    for chunk in chunks:
        for event in decoder.feed(chunk):
            ...
"""

from __future__ import annotations

from .base import Decoder
from .content import ContentDecoder
from .csv_rows import CSVDecoder
from .driver import Decoding
from .lines import LineDecoder
from .mixin import Decoders
from .multipart import MultipartDecoder, Part
from .ndjson import NDJSONDecoder
from .sse import ServerSentEvent, SSEDecoder
from .text import TextDecoder

__all__ = [
    "CSVDecoder",
    "ContentDecoder",
    "Decoder",
    "Decoders",
    "Decoding",
    "LineDecoder",
    "MultipartDecoder",
    "NDJSONDecoder",
    "Part",
    "SSEDecoder",
    "ServerSentEvent",
    "TextDecoder",
]
