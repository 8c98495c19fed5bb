"""contracts/actions.md 13, job packing: files, requirements and variables that go to a Ray cluster."""

import zipfile
from pathlib import Path

import pytest

from raydock.sdk.plugins.config import PluginConfig
from raydock.sdk.plugins.enums import PackageManager
from raydock.sdk.plugins.errors import ValidationError
from raydock.sdk.plugins.executors import packing, ray_place

STAY = (
    "__pycache__/a.pyc",
    "plugin/__pycache__/b.py",
    "plugin/c.pyc",
    ".git/config",
    ".venv/x.py",
    "venv/x.py",
    ".env",
    "env/x.py",
    "dist/x.whl",
    "build/x.py",
    "node_modules/x.js",
    "run.log",
    "plugin/.DS_Store",
    ".idea/x.xml",
    ".pytest_cache/x",
    ".coverage",
    "plugin/x.py.swp",
)
GO = ("config.yaml", "plugin/infer.py", "plugin/data/model.bin", "wheels/own-1.0-py3-none-any.whl", ".hidden")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for name in (*STAY, *GO):
        path = tmp_path / "plugin" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "plugin" / "plugin" / "infer.py").chmod(0o755)
    return tmp_path / "plugin"


def test_what_is_packed(directory: Path, tmp_path: Path) -> None:
    (directory / "nowhere").symlink_to(tmp_path / "nothing")
    packing.pack(directory, tmp_path / "p.zip", {"params.json": "{}"})
    with zipfile.ZipFile(tmp_path / "p.zip") as archive:
        assert sorted(archive.namelist()) == sorted((*GO, "params.json"))
        assert archive.read("plugin/infer.py") == b"plugin/infer.py"
        assert archive.getinfo("plugin/infer.py").external_attr >> 16 & 0o777 == 0o755


def test_the_same_files_are_the_same_package(directory: Path, tmp_path: Path) -> None:
    packing.pack(directory, tmp_path / "one.zip", {})
    (directory / "config.yaml").touch()
    packing.pack(directory, tmp_path / "two.zip", {})
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_too_much_is_told(directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "MAX_BYTES", 100)
    with pytest.raises(
        ValidationError, match=r"the largest files are wheels/own-1.0-py3-none-any.whl, plugin/"
    ):
        packing.pack(directory, tmp_path / "p.zip", {})


def test_requirements_wheels_and_options(directory: Path) -> None:
    (directory / "requirements.txt").write_text("# none\nnumpy==2.0\n--prefer-binary\n")
    config = PluginConfig(code="x", package_manager_options=["--index-url", "https://pypi.example/simple"])
    own = "${RAY_RUNTIME_ENV_CREATE_WORKING_DIR}/wheels/own-1.0-py3-none-any.whl"
    options = ["--prefer-binary", "--index-url", "https://pypi.example/simple"]
    assert packing.runtime_env(config, directory) == {
        "pip": {"packages": ["numpy==2.0", own], "pip_install_options": [*options, "--upgrade"]}
    }
    by_uv = config.model_copy(
        update={"package_manager": PackageManager.UV, "runtime_env": {"env_vars": {"A": "b"}}}
    )
    assert packing.runtime_env(by_uv, directory) == {
        "uv": {"packages": ["numpy==2.0", own], "uv_pip_install_options": [*options, "--no-cache"]},
        "env_vars": {"A": "b"},
    }


def test_a_plugin_that_asks_for_nothing(tmp_path: Path) -> None:
    assert packing.runtime_env(PluginConfig(code="x"), tmp_path) == {}


@pytest.mark.parametrize(
    "line",
    ["--extra-index-url https://me:s3cret@pypi.example/simple", "own @ git+https://tok@git.example/own"],
)
def test_a_login_does_not_come_into_the_record(tmp_path: Path, line: str) -> None:
    (tmp_path / "requirements.txt").write_text(f"numpy\n{line}\n")
    with pytest.raises(ValueError, match="PIP_INDEX_URL in the cluster from a Secret") as told:
        packing.runtime_env(PluginConfig(code="x"), tmp_path)
    assert "s3cret" not in str(told.value)


CALLER = {
    "SYNAPSE_HOST": "https://backend.example",
    "SYNAPSE_LANGUAGE": "ko",
    "SYNAPSE_ACCESS_TOKEN": "secret",
    "SYNAPSE_PLUGIN_RUN_USER_TOKEN": "secret",
    "SYNAPSE_PLUGIN_RUN_TENANT": "secret",
    "SYNAPSE_AGENT_ID": "9",
    "SYNAPSE_AGENT_TOKEN": "secret",
    "RAYDOCK_SYNAPSE_ALIAS": "1",
    "RAYDOCK_ENDPOINT_KEY": "secret",
    "RAYDOCK_MODEL_TOKEN_KEY": "secret",
    "RAYDOCK_MODEL_TOKEN_KEY_FILE": "/home/me/key",
    "RAY_memory_monitor_refresh_ms": "0",
    "RAY_ADDRESS": "http://127.0.0.1:8265",
    "RAY_AUTH_TOKEN": "secret",
    "PATH": "/bin",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "MOOD": "mine",
}


def test_variables_of_the_record() -> None:
    config = PluginConfig(code="x", env={"MOOD": "calm", "SIZE": 3, "SYNAPSE_LANGUAGE": "en"})
    assert packing.variables(config, CALLER) == {
        "MOOD": "calm",
        "SIZE": "3",
        "SYNAPSE_LANGUAGE": "ko",
        "SYNAPSE_HOST": "https://backend.example",
        "SYNAPSE_AGENT_ID": "9",
        "RAYDOCK_SYNAPSE_ALIAS": "1",
        "RAY_memory_monitor_refresh_ms": "0",
    }


def test_credentials_that_go_another_way() -> None:
    assert packing.secrets(CALLER) == {
        "SYNAPSE_HOST": "https://backend.example",
        "SYNAPSE_ACCESS_TOKEN": "secret",
        "SYNAPSE_PLUGIN_RUN_USER_TOKEN": "secret",
        "SYNAPSE_PLUGIN_RUN_TENANT": "secret",
        "SYNAPSE_AGENT_ID": "9",
        "SYNAPSE_AGENT_TOKEN": "secret",
        "RAYDOCK_ENDPOINT_KEY": "secret",
        "RAYDOCK_MODEL_TOKEN_KEY": "secret",
    }


@pytest.mark.parametrize(
    ("address", "agent", "jobs", "client"),
    [
        ("auto", None, "http://localhost:8265", "ray://localhost:10001"),
        ("auto", "https://agent.example/base", "http://agent.example:8265", "ray://agent.example:10001"),
        ("head.example", "https://agent.example", "http://head.example:8265", "ray://head.example:10001"),
        ("head.example:6379", None, "http://head.example:8265", "ray://head.example:10001"),
        ("http://head.example:18265/", None, "http://head.example:18265", "ray://head.example:10001"),
        ("https://ray.example/", None, "https://ray.example", "ray://ray.example:10001"),
        ("ray://head.example:20001", None, "http://head.example:8265", "ray://head.example:20001"),
        ("http://[::1]", None, "http://[::1]:8265", "ray://[::1]:10001"),
    ],
)
def test_where_a_cluster_is(address: str, agent: str | None, jobs: str, client: str) -> None:
    assert ray_place.dashboard(address, agent) == jobs
    assert ray_place.client(address, agent) == client


def test_an_address_without_a_host() -> None:
    with pytest.raises(ValueError, match="write auto, HOST or"):
        ray_place.dashboard("http://")
