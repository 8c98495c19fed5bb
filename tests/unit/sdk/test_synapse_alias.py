"""contracts/actions.md 15: RAYDOCK_SYNAPSE_ALIAS=1 makes synapse_sdk another name of raydock.sdk."""

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from raydock.sdk import alias


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == alias.ALIAS]:
        del sys.modules[name]


@pytest.fixture
def _on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAYDOCK_SYNAPSE_ALIAS", "1")
    assert alias.install()


@pytest.mark.parametrize("value", [None, "", "0"])
def test_without_the_switch_there_is_no_alias(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    monkeypatch.delenv("RAYDOCK_SYNAPSE_ALIAS", raising=False)
    if value is not None:
        monkeypatch.setenv("RAYDOCK_SYNAPSE_ALIAS", value)
    assert not alias.install()
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("synapse_sdk")


@pytest.mark.usefixtures("_on")
@pytest.mark.parametrize(
    "module",
    ["", ".plugins", ".plugins.steps", ".plugins.steps.base", ".plugins.actions.inference", ".loggers"],
)
def test_both_names_mean_the_same_module(module: str) -> None:
    real = importlib.import_module(f"raydock.sdk{module}")
    assert importlib.import_module(f"synapse_sdk{module}") is real
    assert real.__name__ == f"raydock.sdk{module}"
    assert real.__spec__
    assert real.__spec__.name == real.__name__


@pytest.mark.usefixtures("_on")
def test_every_form_of_import_gives_the_same_objects() -> None:
    here: dict[str, object] = {}
    exec(
        "import synapse_sdk.plugins.steps as one\n"
        "from synapse_sdk.plugins import steps as two\n"
        "from synapse_sdk.plugins.steps import BaseStep\n"
        "import raydock.sdk.plugins.steps as real",
        here,
    )
    assert here["one"] is here["two"] is here["real"]
    assert here["BaseStep"] is importlib.import_module("raydock.sdk.plugins.steps.base").BaseStep


@pytest.mark.usefixtures("_on")
def test_a_module_that_is_not_there_is_not_found() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"synapse_sdk\.nothing"):
        importlib.import_module("synapse_sdk.nothing")


@pytest.mark.usefixtures("_on")
def test_a_module_can_be_imported_a_second_time_under_its_own_name() -> None:
    importlib.import_module("synapse_sdk.plugins.schemas")
    real = importlib.import_module("raydock.sdk.plugins.schemas")
    assert importlib.reload(real) is real


@pytest.mark.usefixtures("_on")
def test_the_real_package_wins(tmp_path: Path) -> None:
    (tmp_path / "synapse_sdk").mkdir()
    (tmp_path / "synapse_sdk" / "__init__.py").write_text("mine = True")
    (tmp_path / "synapse_sdk" / "plugins.py").write_text("mine = True")
    sys.path.insert(0, str(tmp_path))
    assert importlib.import_module("synapse_sdk").mine
    assert importlib.import_module("synapse_sdk.plugins").mine


class Editable(MetaPathFinder):
    """As an editable installation has one: it alone knows where the package lies."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @override
    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        return PathFinder.find_spec(fullname, [str(self._folder)]) if fullname == "synapse_sdk" else None


@pytest.mark.usefixtures("_on")
@pytest.mark.parametrize("place", [0, 1, 10_000], ids=["before ours", "next", "last"])
def test_the_real_package_wins_wherever_its_finder_stands(tmp_path: Path, place: int) -> None:
    (tmp_path / "synapse_sdk").mkdir()
    (tmp_path / "synapse_sdk" / "__init__.py").write_text("mine = True")
    (tmp_path / "synapse_sdk" / "plugins.py").write_text("mine = True")
    sys.meta_path.insert(place, Editable(tmp_path))
    assert importlib.import_module("synapse_sdk").mine
    assert importlib.import_module("synapse_sdk.plugins").mine


@pytest.mark.usefixtures("_on")
def test_a_finder_that_asks_all_others_itself_is_no_trap() -> None:
    class Asks(MetaPathFinder):
        asking = False

        @override
        def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
            if self.asking or fullname != "synapse_sdk":
                return None
            self.asking = True
            try:
                return importlib.util.find_spec(fullname)
            finally:
                self.asking = False

    sys.meta_path.append(Asks())
    assert importlib.import_module("synapse_sdk") is importlib.import_module("raydock.sdk")


@pytest.mark.usefixtures("_on")
def test_a_finder_of_the_old_kind_is_passed_over() -> None:
    sys.meta_path.append(object())  # type: ignore[arg-type]  # without find_spec, as before Python 3.4
    assert importlib.import_module("synapse_sdk") is importlib.import_module("raydock.sdk")


@pytest.mark.usefixtures("_on")
def test_it_is_installed_once() -> None:
    before = list(sys.meta_path)
    assert alias.install()
    assert sys.meta_path == before
