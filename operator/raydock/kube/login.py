"""Where the API server is and who we are there: the pod's service account, else a kubeconfig."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kubernetes.aio import config
from kubernetes.aio.client import Configuration
from kubernetes.aio.config.config_exception import ConfigException

POD_TOKEN: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
"""There exactly when we run in a pod with a service account."""
CONNECTIONS: Final = 64
"""Open connections at most: several times the workers of one operator, which mostly await call by call."""


class NoCluster(Exception):
    """There is no pod credential and no usable kubeconfig; the message says what is missing."""


@dataclass(frozen=True)
class Login:
    """What another client of this process needs to reach the same API server in the same name."""

    server: str
    ca_path: str | None
    insecure: bool
    token: str | None
    certificate_path: str | None
    private_key_path: str | None
    proxy_url: str | None


async def configuration(kubeconfig: str | None) -> Configuration:
    """The client's configuration. An explicit `kubeconfig` wins over the pod's account. Raises NoCluster."""
    found = Configuration()
    found.connection_pool_maxsize = CONNECTIONS
    found.retries = None  # transport.py alone decides what is tried again
    try:
        if kubeconfig is None and POD_TOKEN.exists():
            config.load_incluster_config(client_configuration=found)
        else:
            await config.load_kube_config(config_file=kubeconfig, client_configuration=found)
    except ConfigException as error:
        raise NoCluster(f"no API server to talk to: {error}") from None
    return found


async def login_of(conf: Configuration) -> Login:
    """`conf` in neutral words, its token read anew where it lies in a file that the kubelet renews."""
    header = await conf.get_api_key_with_prefix("BearerToken", alias="authorization")
    return Login(
        server=conf.host,
        ca_path=conf.ssl_ca_cert,
        insecure=not conf.verify_ssl,
        token=header.split(" ", 1)[1] if header else None,
        certificate_path=conf.cert_file,
        private_key_path=conf.key_file,
        proxy_url=conf.proxy,
    )
