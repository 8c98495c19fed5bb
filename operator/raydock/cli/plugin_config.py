"""`raydock plugin update-config`: the actions that a plugin's modules define, into its config.yaml."""

import importlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import yaml

from raydock.cli.failing import said, told
from raydock.cli.yaml_text import put
from raydock.sdk import alias
from raydock.sdk.plugins.action import BaseAction
from raydock.sdk.plugins.config import PluginConfig, config_file
from raydock.sdk.plugins.decorators import declared
from raydock.sdk.plugins.executors.packing import files

NOT_ACTIONS: Final = frozenset({"tests", "test", "docs", "scripts"})
"""Folders with modules that define no actions, and that an import may set to work."""
TYPES: Final = ("input_type", "output_type")


@dataclass(frozen=True)
class Found:
    """An action that a module defines."""

    name: str | None
    """What the code calls it; None: whatever the config does."""
    fallback: str
    """Its name where neither says one."""
    entrypoint: str
    types: Mapping[str, str]


def update(directory: Path, config: Path | None) -> None:
    """Change the file, and print what was changed."""
    with told():
        file = config_file(config or directory)
        PluginConfig.from_file(file)  # raises for a file that is none
        sys.path.insert(0, str(directory))
        alias.install()
        text = file.read_text(encoding="utf-8")
        changed, changes = merged(text, list(actions(directory)))
        if changes:
            file.write_text(changed, encoding="utf-8")
    for change in changes:
        print(change)
    if not changes:
        print(f"{file.name} is up to date")


def actions(directory: Path) -> Iterator[Found]:
    """The actions in the modules below `directory`. A module that cannot be imported is told and left out."""
    for path in files(directory):
        parts = path.relative_to(directory).with_suffix("").parts
        if path.suffix != ".py" or parts[-1] in ("setup", "conftest", "__main__") or NOT_ACTIONS & set(parts):
            continue
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if not name or not all(part.isidentifier() for part in parts):
            continue
        try:
            module = importlib.import_module(name)
        except Exception as error:  # noqa: BLE001 - of the plugin's code, which may need what is not here
            print(f"left out {path.relative_to(directory)}: {said(error, {})}", file=sys.stderr)
            continue
        yield from defined(module)


def defined(module: ModuleType) -> Iterator[Found]:
    """Classes of actions that do something, and functions with `@action`, that `module` itself defines."""
    for name, value in vars(module).items():
        if getattr(value, "__module__", None) != module.__name__:
            continue
        entrypoint = f"{module.__name__}:{name}"
        if (function := declared(value)) is not None:
            yield Found(function.name, name, entrypoint, {})
        elif isinstance(value, type) and issubclass(value, BaseAction) and _does_something(value):
            types = {key: _text(kind) for key in TYPES if (kind := getattr(value, key)) is not None}
            yield Found(value.action_name, _snake(name.removesuffix("Action") or name), entrypoint, types)


def merged(text: str, found: Iterable[Found]) -> tuple[str, list[str]]:
    """`text` of a config with the actions in `found`, and what was changed, a line each. All else stays."""
    changes: list[str] = []
    for one in found:
        known = (yaml.safe_load(text) or {}).get("actions") or {}
        name = one.name or _named_by(known, one.entrypoint) or one.fallback
        present = known.get(name) or {}
        wanted = {"entrypoint": one.entrypoint, **one.types}
        new = {key: value for key, value in wanted.items() if not _same(key, present.get(key), value)}
        for key, value in new.items():
            text = put(text, ("actions", name, key), value)
        if new:
            said_ = ", ".join(f"{key}: {value}" for key, value in new.items())
            changes.append(f"{'changed' if name in known else 'added'} {name}: {said_}")
    return text, changes


def _named_by(known: Mapping[str, Any], entrypoint: str) -> str | None:
    """The config's name for `entrypoint`."""
    names = (
        name for name, one in known.items() if _same("entrypoint", (one or {}).get("entrypoint"), entrypoint)
    )
    return next(names, None)


def _same(key: str, present: Any, wanted: str) -> bool:
    """An entrypoint may be written with a colon or a dot."""
    if key == "entrypoint" and isinstance(present, str):
        return present.replace(":", ".") == wanted.replace(":", ".")
    return bool(present == wanted)


def _does_something(action: type[BaseAction[Any]]) -> bool:
    """Whether it is more than a base of others."""
    return any(
        getattr(action, name) is not getattr(BaseAction, name) for name in ("run", "execute", "setup_steps")
    )


def _text(kind: Any) -> str:
    return str(getattr(kind, "value", None) or getattr(kind, "__name__", kind))


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() and place else c.lower() for place, c in enumerate(name))
