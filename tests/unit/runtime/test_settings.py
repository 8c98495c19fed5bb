"""The settings file and the variables over it."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from raydock.runtime.settings import Settings

FILE = """
runtimeImage: example/runtime:1
gateway: {name: edge, namespace: infra}
reportUrl: http://raydock.raydock-system.svc:8080
capacity: {provider: none}
logLevel: warning
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that RAYDOCK_SETTINGS names."""
    path = tmp_path / "settings.yaml"
    path.write_text(FILE)
    monkeypatch.setenv("RAYDOCK_SETTINGS", str(path))
    return path


def test_without_a_file_everything_has_a_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAYDOCK_SETTINGS", raising=False)
    settings = Settings()
    assert (settings.capacity.provider, settings.http_port, settings.watch_namespaces) == (
        "cluster",
        8080,
        (),
    )


@pytest.mark.usefixtures("file")
def test_the_file_is_flat_and_its_keys_find_their_place() -> None:
    settings = Settings()
    assert settings.defaults.runtime_image == "example/runtime:1"
    assert settings.defaults.gateway.namespace == "infra"
    assert (settings.capacity.provider, settings.log_level) == ("none", "warning")


@pytest.mark.usefixtures("file")
def test_variables_go_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "RAYDOCK_LOG_LEVEL": "debug",
        "RAYDOCK_CAPACITY__PROVIDER": "cluster",
        "RAYDOCK_WATCH_NAMESPACES": '["a", "b"]',
        "RAYDOCK_DEFAULTS__RUNTIME_IMAGE": "example/runtime:2",
        "POD_NAME": "raydock-0",
        "POD_NAMESPACE": "here",
    }.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert (settings.log_level, settings.capacity.provider) == ("debug", "cluster")
    assert settings.watch_namespaces == ("a", "b")
    assert settings.defaults.runtime_image == "example/runtime:2"
    assert settings.defaults.gateway.name == "edge"  # what no variable names stays the file's
    assert (settings.identity, settings.lease_namespace) == ("raydock-0", "here")


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("runtimeImgae: x", id="a typo at the top"),
        pytest.param("capacity: {providr: none}", id="a typo below"),
        pytest.param("logLevel: loud", id="a value that does not exist"),
        pytest.param("workers: 0", id="out of bounds"),
    ],
)
def test_what_is_not_known_is_refused(file: Path, line: str) -> None:
    file.write_text(line)
    with pytest.raises(ValidationError):
        Settings()
