"""The pinned versions of `versions.toml`, and whether Go's and Debian's own files agree with them."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from typing import Any

from hack.node.failure import NodeError
from hack.node.layout import SOURCES

FILE = SOURCES / "versions.toml"


@cache
def pinned() -> dict[str, Any]:
    """The whole of `versions.toml`."""
    return tomllib.loads(FILE.read_text())


def module_version(module: str, path: str) -> str:
    """The version of a Go module, with its `v`, as `versions.toml` and the module's go.mod both say."""
    version = pinned()["modules"][module][path]
    assert isinstance(version, str)
    return version


def check_modules() -> None:
    """Raises NodeError when a go.mod requires another version than `versions.toml` names."""
    for module, wanted in pinned()["modules"].items():
        required = (SOURCES / "go" / module / "go.mod").read_text()
        for path, version in wanted.items():
            found = re.search(rf"^\s*(?:require )?{re.escape(path)} (\S+)", required, re.MULTILINE)
            if found is None or found[1] != version:
                raise NodeError(
                    "versions",
                    f"{path} is {version} in versions.toml and {found[1] if found else 'absent'} in "
                    f"go/{module}/go.mod: make them the same",
                )


def requirement(name: str) -> str:
    """The line of a pip requirements file for a package pinned here, with its hash."""
    pin = pinned()[name]
    return f"{pin['pypi']} --hash=sha256:{pin['sha256']}\n"


def pypi_version(name: str) -> str:
    """The version of a package pinned here, for example `1.40.0`."""
    return str(pinned()[name]["pypi"]).partition("==")[2]
