"""Where the cluster is, in whose name and namespace we speak, and one call to its API."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.config import kube_config
from kubernetes.config.config_exception import ConfigException
from urllib3.exceptions import HTTPError

from raydock.client.errors import NoCluster, Unreachable, of_answer, of_status_object

POD_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""There exactly when we run in a pod with a service account."""
DEFAULT_NAMESPACE: Final = "default"
CONNECT_S: Final = 10.0
CALL_S: Final = 30.0
"""For an answer to begin, or to go on."""
JSON: Final = "application/json"
MERGE: Final = "application/merge-patch+json"
_REFUSED: Final = re.compile(r"Handshake status (\d{3})")
"""How the websocket's library says that the API server did not take a connection."""


class Session:
    """One API server and the namespace that is meant where none is said."""

    def __init__(self, api: client.ApiClient, namespace: str = DEFAULT_NAMESPACE) -> None:
        self._api = api
        self.namespace = namespace

    def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content: str = JSON,
    ) -> dict[str, Any]:
        """The answer's object. Raises ClientError."""
        with self._answer(method, path, query=query, body=body, content=content, read_s=CALL_S) as response:
            try:
                answer = json.loads(response.data)
            except ValueError:
                raise Unreachable("the API server's answer is not JSON: is this its address?") from None
        if not isinstance(answer, dict):
            raise Unreachable("the API server's answer is not an object: is this its address?")
        return answer

    @contextmanager
    def lines(self, path: str, query: Mapping[str, str], *, read_s: float | None) -> Iterator[Iterator[str]]:
        """The lines of an answer as they come; `read_s`: the longest silence, None for any.

        Raises ClientError, also in the middle.
        """
        with self._answer("GET", path, query=query, read_s=read_s) as response:
            yield _lines(response)

    def port(self, namespace: str, pod: str, port: int) -> Any:
        """A connection to `port` of a pod, as a socket. Raises ClientError.

        Needs the verbs get and create on pods/portforward.
        """
        from kubernetes.stream import portforward  # noqa: PLC0415 - most commands never need websockets

        # An own client: the library puts another transport into the one that it is given, for the time.
        core = client.CoreV1Api(client.ApiClient(self._api.configuration))
        try:
            forward = portforward(
                core.connect_get_namespaced_pod_portforward, pod, namespace, ports=str(port)
            )
        except ApiException as error:
            status = _REFUSED.search(str(error.reason))
            if status is None:
                raise Unreachable(f"no connection to pod {namespace}/{pod}: is it running?") from None
            message = f"no connection to pod {namespace}/{pod}: HTTP {status[1]} for get on pods/portforward"
            raise of_status_object(int(status[1]), {"message": message}) from None
        return forward.socket(port)

    @contextmanager
    def _answer(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None,
        read_s: float | None,
        body: Any = None,
        content: str = JSON,
    ) -> Iterator[Any]:
        response = None
        method, url, headers, body, _ = self._api.param_serialize(
            method,
            path,
            query_params=list((query or {}).items()),
            header_params={"Accept": "*/*", "Content-Type": content},
            body=body,
            auth_settings=["BearerToken"],
        )
        try:
            response = self._api.call_api(
                method, url, headers, body, _request_timeout=(CONNECT_S, read_s)
            ).response
            if not 200 <= response.status < 300:
                raise of_answer(response.status, response.data)
            yield response
        except ApiException as error:  # TLS: what urllib3 calls an SSLError
            why = " ".join(str(error.reason).split())
            raise Unreachable(f"no connection to the API server ({why})") from None
        except (HTTPError, OSError) as error:
            # The error's own text repeats addresses and says little else.
            raise Unreachable(
                f"no connection to the API server ({type(error).__name__}): is it up, and is this the right "
                "context (--context)?"
            ) from None
        finally:
            if response is not None:
                response.close()


def connect(
    namespace: str | None = None, *, context: str | None = None, kubeconfig: str | None = None
) -> Session:
    """The cluster that kubectl would talk to: of KUBECONFIG or ~/.kube/config, else the one we are a pod of.

    `namespace`: default is the context's or the pod's. Raises NoCluster.
    """
    found = client.Configuration()
    found.retries = False  # who waits for a job goes on by himself, and everybody else wants to know at once
    files = kubeconfig or kube_config.KUBE_CONFIG_DEFAULT_LOCATION
    try:
        if kubeconfig or context or _exists(files):
            config.load_kube_config(files, context=context, client_configuration=found)
            home = _home(files, context)
        elif (POD_ACCOUNT / "token").exists():
            config.load_incluster_config(client_configuration=found)
            home = (POD_ACCOUNT / "namespace").read_text().strip()
        else:
            raise NoCluster(
                "no cluster is configured: set KUBECONFIG to a kubeconfig file, write ~/.kube/config, or run "
                "this in a pod with a service account"
            )
    except ConfigException as error:
        raise NoCluster(f"no cluster to talk to: {error}") from None
    api = client.ApiClient(found)
    api.user_agent = "raydock-client"
    return Session(api, namespace or home or DEFAULT_NAMESPACE)


def _exists(files: str) -> bool:
    """Whether there is one of the kubeconfigs, which KUBECONFIG may name several of."""
    return any(Path(name).expanduser().exists() for name in files.split(os.pathsep) if name)


def _home(files: str, context: str | None) -> str:
    """The namespace that the context names."""
    contexts, active = config.list_kube_config_contexts(files)
    chosen = next((one for one in contexts if one["name"] == context), active) if context else active
    return str((chosen or {}).get("context", {}).get("namespace") or "")


def _lines(response: Any) -> Iterator[str]:
    begun = b""
    for part in response.stream(amt=None, decode_content=True):
        *whole, begun = (begun + part).split(b"\n")
        for line in whole:
            yield line.decode(errors="replace")
    if begun:
        yield begun.decode(errors="replace")
