"""config.yaml of a plugin (contracts/actions.md 13)."""

import re
import warnings
from pathlib import Path
from typing import Any, Final, Self

import pydantic
import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from raydock.sdk.plugins.enums import PackageManager, PluginCategory, RunMethod
from raydock.sdk.plugins.errors import ValidationError

FILES: Final = ("config.yaml", "synapse.yaml")
_VERSION: Final = re.compile(r"\d+\.\d+\.\d+")


class ActionConfig(BaseModel):
    """One action."""

    model_config = ConfigDict(extra="ignore")

    entrypoint: str | None = None
    """`module:Class` or `module.Class`."""
    method: RunMethod = RunMethod.TASK
    description: str = ""
    serve_options: dict[str, Any] = Field(default_factory=dict)


class Requires(BaseModel):
    """Versions that a plugin needs."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)

    sdk: str | None = None
    python: str | None = None
    cuda: str | None = None


class PluginConfig(BaseModel):
    """A plugin. Unknown keys are ignored."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)

    code: str = Field(min_length=1)
    name: str = ""
    """Without one, the code."""
    version: str = "0.1.0"
    category: PluginCategory = PluginCategory.CUSTOM
    data_type: str | None = None
    """What a neural_net works on; see DataType."""
    package_manager: PackageManager = PackageManager.PIP
    package_manager_options: list[str] = Field(default_factory=list)
    wheels_dir: str = "wheels"
    env: dict[str, Any] = Field(default_factory=dict)
    runtime_env: dict[str, Any] = Field(default_factory=dict)
    requires: Requires = Field(default_factory=Requires)
    actions: dict[str, ActionConfig] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not self.name:
            self.name = self.code
        if self.category is PluginCategory.NEURAL_NET and not self.data_type:
            raise ValueError("category neural_net needs data_type, such as image")
        if not _VERSION.fullmatch(self.version):
            warnings.warn(f"version {self.version} is not of the form X.Y.Z", stacklevel=2)
        return self

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """The plugin that `path` describes, a file or the directory of one.

        Raises FileNotFoundError, and ValidationError for a file that is no config.
        """
        file = config_file(path)
        try:
            content = yaml.safe_load(file.read_text(encoding="utf-8"))
            return cls.model_validate({} if content is None else content)
        except yaml.YAMLError as error:
            raise ValidationError(f"{file.name} is not YAML: {error}") from error
        except pydantic.ValidationError as error:
            raise ValidationError(
                f"{file.name} is not a plugin's config: {_told(error)}", error.errors()
            ) from error


def config_file(path: str | Path) -> Path:
    """The config that `path` is, or that lies in it. Raises FileNotFoundError."""
    given = Path(path)
    if given.is_file():
        return given
    for name in FILES:
        if (found := given / name).is_file():
            return found
    raise FileNotFoundError(f"no {' or '.join(FILES)} in {given}")


def _told(error: pydantic.ValidationError) -> str:
    """Where it is wrong, and what is wanted there; no value of the file."""
    return "; ".join(f"{'.'.join(map(str, one['loc'])) or 'config'}: {one['msg']}" for one in error.errors())
