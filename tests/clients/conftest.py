"""What several clients' tests need."""

from __future__ import annotations

import pytest

from tests.clients import images
from tests.clients.engine import Engine

WEB = """#!/bin/sh
mkdir -p /www
echo "$GREETING" > /www/greeting
echo healthy > /www/ready
touch /tmp/ready
exec httpd -f -p 8080 -h /www
"""


@pytest.fixture
def web(engine: Engine) -> None:
    """A service image: an HTTP server on port 8080 that takes a moment to be ready."""
    images.derive(
        engine, "sockerless-test/web:latest", {"Cmd": ["/bin/web"], "ExposedPorts": {"8080/tcp": {}}}, {"bin/web": WEB}
    )
