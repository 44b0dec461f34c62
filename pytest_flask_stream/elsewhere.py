"""Names that the responses of Flask, httpx, requests and aiohttp have, and ours has not.

And ``wire``, which only a stream of live mode has.
"""

from __future__ import annotations

from typing import NoReturn

_INSTEAD = {
    "data": "read()",
    "get_data": "read()",
    "content": "read()",
    "body": "read()",
    "text": "read_text()",
    "json": "read_json()",
    "get_json": "read_json()",
    "iter_bytes": "for chunk in stream",
    "iter_raw": "for chunk in stream",
    "iter_content": "for chunk in stream",
    "iter_chunked": "for chunk in stream",
    "iter_encoded": "for chunk in stream",
    "stream": "for chunk in stream",
    "iter_json": "iter_ndjson()",
    "response": "chunks",
    "is_streamed": "streamed, or assert_streamed()",
    "call_on_close": "record.teardowns, after the end",
    "wire": "live_stream_client, whose streams have one",
}


class _Elsewhere:
    """A name that other responses have, and ours has not: says which one to use.

    A ``__getattr__`` would say so too, and make every other attribute as slow as it is itself.
    """

    def __init__(self, name: str, instead: str) -> None:
        self._name = name
        self._instead = instead

    def __get__(self, instance: object, owner: type) -> NoReturn:
        __tracebackhide__ = True
        raise AttributeError(
            f"{owner.__name__} has no {self._name!r}; use {self._instead}",
            name=self._name,
            obj=instance,
        )


class NamesOfOthers:
    """Gives each of these names an error that says what to use."""


for _name, _instead in _INSTEAD.items():
    setattr(NamesOfOthers, _name, _Elsewhere(_name, _instead))
