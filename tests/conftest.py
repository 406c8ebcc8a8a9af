"""Options and fixtures of the whole test-suite."""

from __future__ import annotations

import os
import pathlib
import shutil

import pytest

HERE = pathlib.Path(__file__).parent

#: Programs that some tests need; RESTPROXY_REQUIRE=chromium,... makes them a must.
REQUIRED = {name for name in os.environ.get("RESTPROXY_REQUIRE", "").split(",") if name}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--vectors",
        default=str(HERE / "vectors" / "data"),
        help="folder with rest.json, gateway.json and security.json",
    )


@pytest.fixture(scope="session")
def need():
    """Skip a test whose program is not installed, or fail where it must be."""

    def check(program: str) -> str:
        found = shutil.which(program)
        if found is None:
            if program in REQUIRED:
                pytest.fail(f"{program} is required (RESTPROXY_REQUIRE) and missing")
            pytest.skip(f"{program} is not installed")
        return found

    return check
