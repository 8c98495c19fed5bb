"""The quick half of an image: raydock's own code, as the last stage of its Dockerfile says.

buildah would export and import the whole image for it, some 15 s; this sends only the layer.
"""

from __future__ import annotations

import hashlib
import py_compile
import shlex
import sys
import tempfile
from importlib.util import cache_from_source
from pathlib import Path, PurePosixPath
from typing import Any

from hack.node.archive import Base, File, Image
from hack.node.dependencies import STAGE
from hack.node.failure import NodeError
from hack.node.layout import REPOSITORY
from hack.node.versions import pinned

COMPILE = "python -m compileall -q --invalidation-mode unchecked-hash /opt/raydock"
"""The one RUN of a last stage."""


def package_image(image: str, base: Base) -> Image:
    """The last stage of `images/<image>/Dockerfile` on `base`, tagged with the hash of its content."""
    lines = (
        (REPOSITORY / "images" / image / "Dockerfile")
        .read_text()
        .partition(f"FROM {STAGE}\n")[2]
        .splitlines()
    )
    files: list[File] = []
    config: dict[str, Any] = {}
    for line in lines:
        instruction, _, rest = line.partition(" ")
        if instruction == "COPY":
            files += _copied(shlex.split(rest))
        elif instruction == "USER":
            config["User"] = rest.strip()
        elif (instruction, rest) == ("RUN", COMPILE):
            files += _compiled(files)
        elif line.strip() and not line.startswith("#"):
            raise NodeError(
                "images", f"images/{image}/Dockerfile: {line!r} is not known to hack/node/package.py"
            )
    digest = hashlib.sha256(f"{base.manifest} {config}".encode())
    for file in files:
        digest.update(f"{file.path} {file.mode}\0".encode() + _content(file))
    return Image(f"localhost/{image}:{digest.hexdigest()[:12]}", files, config=config, base=base)


def _copied(arguments: list[str]) -> list[File]:
    """What one COPY brings: a folder's content, or files into a folder."""
    *sources, target = arguments
    found: list[File] = []
    for source in sources:
        path = REPOSITORY / source
        if path.is_file():
            found.append(File(path, str(PurePosixPath(target) / path.name), 0o644))
            continue
        if not path.is_dir():
            raise NodeError("images", f"{source} is not there to be copied")
        below = [
            file for file in sorted(path.rglob("*")) if file.is_file() and "__pycache__" not in file.parts
        ]
        found += [File(file, str(PurePosixPath(target) / file.relative_to(path)), 0o644) for file in below]
    return found


def _compiled(files: list[File]) -> list[File]:
    """Bytecode beside each module. Only by the images' Python: another one's would be ignored there."""
    if ".".join(str(part) for part in sys.version_info[:2]) != pinned()["images"]["python"]:
        return []
    made: list[File] = []
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "module.pyc"
        for file in files:
            if file.path.endswith(".py"):
                mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
                py_compile.compile(
                    str(file.source), str(out), file.path, doraise=True, invalidation_mode=mode
                )
                made.append(File(out.read_bytes(), cache_from_source(file.path), 0o644))
    return made


def _content(file: File) -> bytes:
    return file.source if isinstance(file.source, bytes) else file.source.read_bytes()
