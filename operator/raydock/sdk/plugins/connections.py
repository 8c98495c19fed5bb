"""Clients of the backend and of the capacity agent, as the environment names them."""

import importlib
from typing import Any, Final

from raydock.sdk.plugins.environment import PluginEnvironment

PREFIXES: Final = ("SYNAPSE_", "RAYDOCK_", "RAY_")
"""Variables of the process that an action's environment holds."""


def backend_url(env: PluginEnvironment) -> str | None:
    """Where the backend is; None where nothing says so."""
    return env.get_str("SYNAPSE_PLUGIN_RUN_HOST") or env.get_str("SYNAPSE_HOST") or None


def backend_client(env: PluginEnvironment) -> Any:
    """The backend's client; None without a URL. A user's token and tenant win over the access token."""
    url = backend_url(env)
    if not url:
        return None
    user_token = env.get_str("SYNAPSE_PLUGIN_RUN_USER_TOKEN") or None
    return _client("backend", "BackendClient")(
        url,
        access_token=None if user_token else env.get_str("SYNAPSE_ACCESS_TOKEN") or None,
        authorization_token=user_token,
        tenant=env.get_str("SYNAPSE_PLUGIN_RUN_TENANT") or None,
        agent_token=env.get_str("SYNAPSE_AGENT_TOKEN") or None,
    )


def agent_client(env: PluginEnvironment) -> Any:
    """The capacity agent's client; None unless both its URL and a token are there."""
    url, token = env.get_str("SYNAPSE_AGENT_URL"), env.get_str("SYNAPSE_AGENT_TOKEN")
    if not url or not token:
        return None
    return _client("agent", "AgentClient")(
        url,
        token,
        user_token=env.get_str("SYNAPSE_PLUGIN_RUN_USER_TOKEN") or None,
        tenant=env.get_str("SYNAPSE_PLUGIN_RUN_TENANT") or None,
    )


def _client(module: str, name: str) -> Any:
    # Imported late: an action without a backend needs no client.
    return getattr(importlib.import_module(f"raydock.sdk.clients.{module}"), name)
