"""The header fields of multipart bodies: the boundary, a part's fields, a part's length."""

from __future__ import annotations

import re

from werkzeug.datastructures import Headers

from .base import shown

_PARAMETER = re.compile(r';\s*([^\s;=]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;]*))', re.DOTALL)
_MAX_DIGITS = 640  # Python converts as many whatever its limit is set to


def find_boundary(content_type: str) -> str | None:
    """Give the boundary parameter of a ``Content-Type``, or ``None``.

    Unquoted, it may hold what a token may not (``=``, ``/``, spaces): many senders write it so.
    """
    for name, quoted, plain in _PARAMETER.findall(content_type):
        if name.lower() == "boundary":
            return re.sub(r"\\(.)", r"\1", quoted) or plain.strip() or None
    return None


def parse_headers(lines: list[bytes]) -> Headers:
    """Make headers of lines without their ends; a line that starts with a blank goes on the last.

    :raises ValueError: if a line is no header field.
    """
    fields: list[tuple[str, list[str]]] = []
    for line in map(_text, lines):
        if line[0] in " \t" and fields:
            fields[-1][1].append(line.strip())
            continue
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise ValueError(f"{shown(line)} is no header field")
        fields.append((name.strip(), [value.strip()]))
    return Headers([(name, " ".join(values)) for name, values in fields])


def content_length(headers: Headers) -> int | None:
    """Give the ``Content-Length``, or ``None`` where it is missing, no number or beyond belief."""
    value = headers.get("Content-Length", "").strip()
    if value.isascii() and value.isdigit() and len(value) <= _MAX_DIGITS:
        return int(value)
    return None


def _text(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        return line.decode("latin-1")
