"""What tests of several folders share."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--golden", choices=["check", "write"], default="check", help="write: renew want.yaml")
    parser.addoption("--reuse", action="store_true", help="e2e: keep and reuse the namespace")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> str:
    """`check` or `write`."""
    return str(request.config.getoption("--golden"))
