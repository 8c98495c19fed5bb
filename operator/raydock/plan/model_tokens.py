"""The key of model tokens in a Deployment's pods, and the one before it."""

from raydock.api.deployment import Deployment, TokenKeySecret
from raydock.plan.meta import Manifest
from raydock.wire import paths

_DIRECTORY, _, _FILE = paths.TOKEN_KEY_FILE.rpartition("/")


def secret(cr: Deployment) -> TokenKeySecret | None:
    """Where the key is."""
    return cr.spec.multiplexing.token_key_secret if cr.spec.multiplexing else None


def environment(cr: Deployment) -> dict[str, str]:
    """Where those who sign and verify find it."""
    return {paths.TOKEN_KEY_FILE_ENV: paths.TOKEN_KEY_FILE} if secret(cr) else {}


def volumes(cr: Deployment) -> tuple[Manifest, ...]:
    """Volume and mount: of these two entries alone, whatever else the Secret holds."""
    key = secret(cr)
    if key is None:
        return ()
    before = paths.TOKEN_KEY_PREVIOUS
    sources = [
        {"secret": {"name": key.name, "items": [{"key": key.key, "path": _FILE}]}},
        {
            "secret": {
                "name": key.name,
                "items": [{"key": f"{key.key}{before}", "path": f"{_FILE}{before}"}],
                "optional": True,
            }
        },
    ]
    return (
        {
            "volume": {"name": "model-token", "projected": {"sources": sources, "defaultMode": 0o440}},
            "mount": {"name": "model-token", "mountPath": _DIRECTORY, "readOnly": True},
        },
    )
