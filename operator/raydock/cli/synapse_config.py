"""~/.synapse/config.json: who the user is to a model backend, and which capacity agent was chosen.

The environment wins. Credentials go with the host that they were given for, never to another one.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from raydock.facts import lenient

Variables = Mapping[str, str]
"""Variables of an action's environment, by name."""

HOSTS: Final = ("SYNAPSE_PLUGIN_RUN_HOST", "SYNAPSE_HOST")
"""Where the backend is; the first one that is set counts."""
TOKENS: Final[Mapping[str, str]] = {
    "access_token": "SYNAPSE_ACCESS_TOKEN",
    "user_token": "SYNAPSE_PLUGIN_RUN_USER_TOKEN",
}
"""Key in the file → variable."""
TENANT: Final = "SYNAPSE_PLUGIN_RUN_TENANT"
AGENT: Final[Mapping[str, str]] = {
    "id": "SYNAPSE_AGENT_ID",
    "url": "SYNAPSE_AGENT_URL",
    "token": "SYNAPSE_AGENT_TOKEN",
}
"""Key under `agent` in the file → variable."""
PREFIXES: Final = ("SYNAPSE_", "RAYDOCK_", "RAY_")
"""Of the caller's variables that an action may see."""


class ConfigError(Exception):
    """The settings are not as they must be, or there are none; the text says what to do."""


def config_path() -> Path:
    """Where the file lies."""
    return Path.home() / ".synapse" / "config.json"


def load() -> dict[str, Any]:
    """What the file holds; empty without one. Raises ConfigError for a file that is no JSON object."""
    try:
        found = json.loads(config_path().read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"{config_path()}: {error.strerror}") from None
    except ValueError:  # its text would quote the file
        raise ConfigError(f"{config_path()} is not JSON: correct it, or take it away") from None
    if not isinstance(found, dict):
        raise ConfigError(f"{config_path()}: want a JSON object; correct it, or take it away")
    return found


def save(settings: Mapping[str, Any]) -> None:
    """Replace the file at once, readable for its owner only. Raises ConfigError."""
    path = config_path()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # its mode is 0600
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(settings, file, indent=2)
                file.write("\n")
            Path(draft).replace(path)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from None


def environ() -> dict[str, str]:
    """The caller's variables that an action may see."""
    known = os.environ.items()  # noqa: TID251 - the command line has no settings.py
    return {name: value for name, value in known if name.startswith(PREFIXES)}


def variables(stored: Mapping[str, Any], known: Variables) -> dict[str, str]:
    """`known`, and what `stored` says beside it.

    Stored credentials are left out where `known` names another host, or has a credential of its own.
    """
    found: dict[str, str] = {}
    host, stored_host = backend_host(known), lenient.text(stored.get("host"))
    if not host and stored_host:
        found["SYNAPSE_HOST"] = stored_host
    if stored_host and same_place(host or stored_host, stored_host):
        if not any(known.get(name) for name in TOKENS.values()):
            found |= _named(stored, TOKENS)
        found |= _named(stored, {"tenant": TENANT})
    agent = lenient.mapping(stored.get("agent"))
    agent_url, stored_url = known.get(AGENT["url"], ""), lenient.text(agent.get("url"))
    if not agent_url or same_place(agent_url, stored_url):
        found |= _named(agent, AGENT)
    return {**found, **{name: value for name, value in known.items() if value}}


def given(known: Variables, host: str | None, token: str | None) -> dict[str, str]:
    """`known` with a host and a token that were given by name, which win; `token`: an access token."""
    found = dict(known)
    if host:
        if not same_place(backend_host(known) or host, host):
            found = {name: value for name, value in found.items() if name not in (*TOKENS.values(), TENANT)}
        found |= dict.fromkeys(HOSTS, host)
    if token:
        found.pop(TOKENS["user_token"], None)
        found[TOKENS["access_token"]] = token
    return found


def effective(host: str | None = None, token: str | None = None) -> dict[str, str]:
    """What holds for one command: its options, then the environment, then the file. Raises ConfigError."""
    return variables(load(), given(environ(), host, token))


def backend_host(known: Variables) -> str:
    """The backend's URL; empty where nothing names one."""
    return next((known[name] for name in HOSTS if known.get(name)), "")


def require_login(known: Variables) -> None:
    """Raises ConfigError without a host, or without a credential for it."""
    if not backend_host(known):
        raise ConfigError("No backend host: run `raydock login`, or set SYNAPSE_HOST")
    if not any(known.get(name) for name in TOKENS.values()):
        raise ConfigError("Not logged in: run `raydock login`, or set SYNAPSE_ACCESS_TOKEN")


def same_place(one: str, other: str) -> bool:
    """Whether two URLs name the same service, but for a slash at the end and the case of the host."""
    return _place(one) == _place(other)


def _place(url: str) -> tuple[str, str, str]:
    parts = urlsplit(url.strip())
    return parts.scheme.lower(), parts.netloc.lower(), parts.path.rstrip("/")


def _named(stored: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, str]:
    """The variables of `stored`'s keys that have a value; ids may be numbers."""
    found = {variable: stored.get(key) for key, variable in names.items()}
    return {name: str(value) for name, value in found.items() if value is not None and str(value)}
