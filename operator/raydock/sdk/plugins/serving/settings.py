"""What a replica is told about models by token: by the operator, or by whoever starts it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from raydock.sdk.plugins.serving.model_token import AUDIENCE

MODELS_ENV: Final = "RAYDOCK_MODELS_PER_REPLICA"
AUDIENCE_ENV: Final = "RAYDOCK_MODEL_TOKEN_AUDIENCE"
LEGACY_ENV: Final = "RAYDOCK_LEGACY_MODEL_TOKENS"
ACCEPT: Final = "Accept"
"""Of LEGACY_ENV; anything else refuses them."""


@dataclass(frozen=True)
class Settings:
    """Of one replica."""

    models_per_replica: int = 4
    audience: str = AUDIENCE
    legacy_tokens: bool = False
    """Whether tokens of the package's form are taken: without end, signed with the backend's URL."""


def settings(environment: Mapping[str, str]) -> Settings:
    """What `environment` says. Raises ValueError for a number of models that is none."""
    default = Settings()
    text = environment.get(MODELS_ENV, "").strip() or str(default.models_per_replica)
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{MODELS_ENV}: want a whole number from 1")
    return Settings(
        models_per_replica=int(text),
        audience=environment.get(AUDIENCE_ENV) or default.audience,
        legacy_tokens=environment.get(LEGACY_ENV) == ACCEPT,
    )
