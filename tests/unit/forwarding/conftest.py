"""A configuration of forwarding alone, not committed."""

from __future__ import annotations

import pytest
from pyramid.config import Configurator


@pytest.fixture
def config():
    made = Configurator()
    made.include("pyramid_restproxy.forwarding")
    return made
