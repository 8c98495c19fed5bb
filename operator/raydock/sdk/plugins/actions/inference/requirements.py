"""Ray's runtime environment from a plugin's requirements.txt (contracts/actions.md 7)."""

import re
import shlex
from typing import Any, Final

from raydock.sdk.plugins.enums import PackageManager

_COMMENT: Final = re.compile(r"(^|\s+)#.*$")
"""As pip cuts them: a `#` inside of a word belongs to a URL."""


def runtime_env(requirements: str, manager: PackageManager) -> dict[str, Any]:
    """What `requirements`, the text of a requirements.txt, asks for; empty when it names no package.

    A line that starts with `-` is an option of the installer. Raises ValueError for one with an open quote.
    """
    lines = [line for raw in requirements.splitlines() if (line := _COMMENT.sub("", raw).strip())]
    packages = [line for line in lines if not line.startswith("-")]
    if not packages:
        return {}
    options = [part for line in lines if line.startswith("-") for part in _split(line)]
    if manager is PackageManager.UV:
        return {"uv": {"packages": packages, "uv_pip_install_options": [*options, "--no-cache"]}}
    return {"pip": {"packages": packages, "pip_install_options": [*options, "--upgrade"]}}


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:  # its text may quote the line, and that a password
        pass
    raise ValueError("requirements.txt: an option with a quote that is never closed")
