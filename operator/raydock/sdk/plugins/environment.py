"""Settings of an action, as its process or a file has them."""

import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Self

from typing_extensions import override

_TRUE: Final = frozenset({"true", "1", "yes"})


class PluginEnvironment:
    """Names and values. A missing name gives the default; a text that is no number raises ValueError."""

    def __init__(self, data: Mapping[str, Any] | None = None) -> None:
        self._data = dict(data or {})

    @classmethod
    def from_environ(cls, prefix: str = "", *, prefixes: Iterable[str] | None = None) -> Self:
        """The variables of this process that begin with `prefix`, which is taken off.

        `prefixes` wins: variables that begin with one of them, under their whole names.
        """
        known = os.environ.items()  # noqa: TID251 - a Ray worker has no settings.py
        if prefixes is not None:
            begin = tuple(prefixes)
            return cls({name: value for name, value in known if name.startswith(begin)})
        return cls({name.removeprefix(prefix): value for name, value in known if name.startswith(prefix)})

    @classmethod
    def from_file(cls, toml_path: str | Path) -> Self:
        """What a TOML file holds. Raises OSError, or tomllib.TOMLDecodeError."""
        return cls(tomllib.loads(Path(toml_path).read_text(encoding="utf-8")))

    @classmethod
    def merge(cls, *envs: "PluginEnvironment | Mapping[str, Any]") -> Self:
        """All of them; of a name in several, the last counts."""
        merged: dict[str, Any] = {}
        for env in envs:
            merged.update(env.to_dict() if isinstance(env, PluginEnvironment) else env)
        return cls(merged)

    def get(self, key: str, default: Any = None) -> Any:
        """The value as it is."""
        return self._data.get(key, default)

    def get_str(self, key: str, default: str | None = None) -> str | None:
        """The value as text."""
        value = self._data.get(key)
        return default if value is None else str(value)

    def get_int(self, key: str, default: int | None = None) -> int | None:
        """The value as a whole number."""
        value = self._data.get(key)
        return default if value is None else int(value)

    def get_float(self, key: str, default: float | None = None) -> float | None:
        """The value as a number."""
        value = self._data.get(key)
        return default if value is None else float(value)

    def get_bool(self, key: str, default: bool | None = None) -> bool | None:  # noqa: FBT001 - as get_str
        """Whether the value is `true`, `1` or `yes`, in any case."""
        value = self._data.get(key)
        return default if value is None else str(value).strip().lower() in _TRUE

    def get_list(self, key: str, default: list[str] | None = None) -> list[str] | None:
        """The parts between commas; a list of a file stays one."""
        value = self._data.get(key)
        if value is None:
            return default
        if isinstance(value, list | tuple):
            return [str(part) for part in value]
        return [part.strip() for part in str(value).split(",") if part.strip()]

    def to_dict(self) -> dict[str, Any]:
        """A copy."""
        return dict(self._data)

    def __contains__(self, key: object) -> bool:
        return key in self._data

    def __getitem__(self, key: str) -> Any:
        return self._data[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._data)

    def __len__(self) -> int:
        return len(self._data)

    @override
    def __repr__(self) -> str:
        """The names only: values may be credentials."""
        return f"PluginEnvironment({', '.join(sorted(self._data))})"
