"""contracts/actions.md 15: `import synapse_sdk` works in a process that nobody prepared, as in the image."""

import re
import shutil
import subprocess
import sysconfig
import tomllib
import venv
from pathlib import Path

import pytest

from hack.node.layout import REPOSITORY

PTH = REPOSITORY / "images" / "raydock-runtime" / "raydock-synapse.pth"


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with the files that the image has; packages come from this one."""
    home = tmp_path_factory.mktemp("image")
    ours = home / "raydock"
    ours.mkdir()
    (ours / "raydock").symlink_to(REPOSITORY / "operator" / "raydock")
    shutil.copy(PTH, ours)
    venv.create(home / "venv", with_pip=False, symlinks=True)
    site = next((home / "venv" / "lib").glob("python*/site-packages"))
    (site / "packages.pth").write_text(sysconfig.get_path("purelib"))
    written = re.search(
        r"^echo '(.*)' >raydock\.pth$", (REPOSITORY / "images" / "install.sh").read_text(), re.M
    )
    assert written
    (site / "raydock.pth").write_text(written[1].replace("/opt/raydock", str(ours)))
    return home / "venv" / "bin" / "python"


def ran(python: Path, code: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([python, "-c", code], env=env, capture_output=True, text=True, check=False)


def test_a_plugin_may_import_it_first(python: Path) -> None:
    code = (
        "from synapse_sdk.plugins.steps import BaseStep\n"
        "import raydock.sdk.plugins.steps as real\n"
        "print(BaseStep is real.BaseStep)"
    )
    done = ran(python, code, RAYDOCK_SYNAPSE_ALIAS="1")
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_without_the_switch_nothing_of_raydock_is_loaded(python: Path) -> None:
    assert ran(python, "import sys; print('raydock' in sys.modules)").stdout == "False\n"
    assert "No module named 'synapse_sdk'" in ran(python, "import synapse_sdk").stderr


def test_the_image_has_the_file_and_the_switch() -> None:
    text = (REPOSITORY / "images" / "raydock-runtime" / "Dockerfile").read_text()
    assert f"COPY {PTH.relative_to(REPOSITORY)} /opt/raydock/" in text
    assert re.search(r"^ENV .*\bRAYDOCK_SYNAPSE_ALIAS=1\b", text, re.M)
    assert f"!{PTH.relative_to(REPOSITORY)}" in (REPOSITORY / ".dockerignore").read_text().splitlines()


def test_the_wheel_has_the_file() -> None:
    config = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    included = config["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert included == {str(PTH.relative_to(REPOSITORY)): PTH.name}
