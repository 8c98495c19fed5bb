"""What tests of several folders share."""

import asyncio

import pytest
from hypothesis import settings

# How long an example takes is the machine's affair: a test says what is right, not how fast.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_configure() -> None:
    # pytest-asyncio asks for the current loop; where none was ever set, asyncio makes one that nobody closes,
    # and whichever test the collector runs in then fails for it. Said that there is none, it makes none.
    asyncio.set_event_loop(None)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--golden", choices=["check", "write"], default="check", help="write: renew want.yaml")
    parser.addoption("--rounds", type=int, default=2, help="e2e: how often a race is run")
    parser.addoption("--seed", type=int, default=0, help="e2e: the first one of what is drawn")
    parser.addoption("--reuse", action="store_true", help="e2e: keep and reuse the namespace")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> str:
    """`check` or `write`."""
    return str(request.config.getoption("--golden"))
