"""What is known of an exchange on the wire. Nothing here needs the extra that reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

WireEnd = Literal["clean", "truncated", "reset", "undelimited"]


@dataclass(slots=True)
class WireFacts:
    """What came out of the socket so far."""

    http_version: str | None = None
    chunked: bool | None = None
    frames: int = 0
    head_at: float | None = None
    """The clock when the head had come."""
    end: WireEnd | None = None
