"""Options and fixtures of the whole test-suite."""

from __future__ import annotations

import os
import pathlib
import shutil

import pytest
from hypothesis import is_hypothesis_test, settings

HERE = pathlib.Path(__file__).parent

#: Programs that some tests need; RESTPROXY_REQUIRE=chromium,... makes them a must.
REQUIRED = {name for name in os.environ.get("RESTPROXY_REQUIRE", "").split(",") if name}


#: How many examples each property is tried with; 2000 in CI, 100000 for a long run.
EXAMPLES = int(os.environ.get("RESTPROXY_EXAMPLES", "100"))
settings.register_profile("restproxy", max_examples=EXAMPLES, deadline=None)
settings.load_profile("restproxy")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of properties, so that they can be run by themselves."""
    for item in items:
        if is_hypothesis_test(getattr(item, "obj", None)):
            item.add_marker("properties")


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
