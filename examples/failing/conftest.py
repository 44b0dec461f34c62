"""The broken app, in the place of the good one."""

import pytest
from broken_app import create_app


@pytest.fixture
def app():
    return create_app()
