"""Machines that run tests are slow at times; what is tested here is never how long it takes."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
