"""Golden cases: `<kind>/<case>/cr.yaml`, what else was seen in `seen.yaml`, and `want.yaml`."""

from base64 import b64decode
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from typing_extensions import override

from raydock.plan.defaults import Defaults

FOLDER = Path(__file__).parent
NOW = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Case:
    """One folder."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def cr(self) -> dict[str, Any]:
        """The custom resource, with what an API server adds to its metadata."""
        obj: dict[str, Any] = yaml.safe_load((self.folder / "cr.yaml").read_text())
        return {**obj, "metadata": {"namespace": "demo", "uid": "1f7c", "generation": 1, **obj["metadata"]}}

    @property
    def seen(self) -> dict[str, Any]:
        """What the case adds to an empty cluster."""
        file = self.folder / "seen.yaml"
        return dict(yaml.safe_load(file.read_text())) if file.exists() else {}

    @property
    def defaults(self) -> Defaults:
        """The operator settings."""
        return Defaults.model_validate(self.seen.get("defaults", {}))

    @property
    def want(self) -> Path:
        """The manifests."""
        return self.folder / "want.yaml"


def cases(kind: str) -> list[Case]:
    """All cases of a kind, by name."""
    return [Case(folder) for folder in sorted((FOLDER / kind).iterdir()) if folder.is_dir()]


def dump(manifests: list[dict[str, Any]]) -> str:
    """YAML for people: keys as the plan orders them, texts of several lines as blocks, no aliases."""
    return yaml.dump_all(manifests, Dumper=_Dumper, sort_keys=False, width=110)


def decoded(secret: dict[str, Any], entry: str) -> str:
    """An entry of a Secret's data as text."""
    return b64decode(secret["data"][entry]).decode()


class _Dumper(yaml.SafeDumper):
    @override
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)
