"""The cluster's keys: two authorities, a certificate for each part, kubeconfigs. Made by openssl."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from hack.node.command import Arg, run

DAYS = "3650"
"""Nobody renews certificates of a node for development: they outlive it."""

USERS = {
    "admin": "/O=system:masters/CN=admin",
    "controller-manager": "/CN=system:kube-controller-manager",
    "scheduler": "/CN=system:kube-scheduler",
    "proxy": "/CN=system:kube-proxy",
}
"""Clients of the API server beside the kubelet, with the names that Kubernetes' own roles are bound to."""


def ensure(folder: Path, node: str, node_ip: str, service_ip: str, domain: str) -> None:
    """Makes all keys in `folder`, unless it holds those of the same names and addresses already.

    The mark is written last: what an interrupted run left is made anew.
    """
    mark = folder / "made-for"
    wanted = f"{node} {node_ip} {service_ip} {domain}"
    if mark.exists() and mark.read_text() == wanted:
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    _authority(folder, "ca", "raydock-ca")
    _authority(folder, "front", "raydock-front-proxy-ca")
    service = "kubernetes.default.svc"
    names = ["kubernetes", "kubernetes.default", service, f"{service}.{domain}", "localhost", node]
    _certificate(
        folder, "apiserver", "/CN=kube-apiserver", "serverAuth", names, ["127.0.0.1", service_ip, node_ip]
    )
    kubelet = f"/O=system:nodes/CN=system:node:{node}"
    _certificate(folder, "kubelet-server", kubelet, "serverAuth", [node], [node_ip, "127.0.0.1"])
    _certificate(folder, "kubelet", kubelet, "clientAuth")
    _certificate(
        folder, "apiserver-kubelet", "/O=system:masters/CN=kube-apiserver-kubelet-client", "clientAuth"
    )
    _certificate(folder, "front-client", "/CN=front-proxy-client", "clientAuth", signer="front")
    for user, subject in USERS.items():
        _certificate(folder, user, subject, "clientAuth")
    _key(folder, "sa")
    run(["openssl", "ec", "-in", folder / "sa.key", "-pubout", "-out", folder / "sa.pub"])
    mark.write_text(wanted)


def write_kubeconfig(folder: Path, user: str, server: str, path: Path, context: str) -> None:
    """A kubeconfig for `user` at `server` (a URL), keys included, readable for its owner only."""

    def embedded(name: str) -> str:
        return base64.b64encode((folder / name).read_bytes()).decode()

    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": context,
        "clusters": [
            {"name": context, "cluster": {"server": server, "certificate-authority-data": embedded("ca.crt")}}
        ],
        "users": [
            {
                "name": user,
                "user": {
                    "client-certificate-data": embedded(f"{user}.crt"),
                    "client-key-data": embedded(f"{user}.key"),
                },
            }
        ],
        "contexts": [{"name": context, "context": {"cluster": context, "user": user}}],
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(config, indent=1))


def _key(folder: Path, name: str) -> None:
    run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", folder / f"{name}.key"])


def _authority(folder: Path, name: str, common_name: str) -> None:
    _key(folder, name)
    usage = "keyUsage=critical,keyCertSign,cRLSign,digitalSignature"
    request: list[Arg] = ["openssl", "req", "-x509", "-new", "-key", folder / f"{name}.key", "-days", DAYS]
    run([*request, "-subj", f"/CN={common_name}", "-addext", usage, "-out", folder / f"{name}.crt"])


def _certificate(
    folder: Path,
    name: str,
    subject: str,
    usage: str,
    names: Sequence[str] = (),
    addresses: Sequence[str] = (),
    signer: str = "ca",
) -> None:
    _key(folder, name)
    request, extensions = folder / f"{name}.csr", folder / f"{name}.ext"
    run(["openssl", "req", "-new", "-key", folder / f"{name}.key", "-subj", subject, "-out", request])
    lines = [
        "basicConstraints=critical,CA:FALSE",
        "keyUsage=critical,digitalSignature",
        f"extendedKeyUsage={usage}",
    ]
    alternatives = [f"DNS:{dns}" for dns in names] + [f"IP:{address}" for address in addresses]
    if alternatives:
        lines.append(f"subjectAltName={','.join(alternatives)}")
    extensions.write_text("\n".join(lines) + "\n")
    sign: list[Arg] = ["openssl", "x509", "-req", "-in", request, "-CA", folder / f"{signer}.crt"]
    sign += ["-CAkey", folder / f"{signer}.key", "-CAcreateserial", "-days", DAYS, "-extfile", extensions]
    run([*sign, "-out", folder / f"{name}.crt"])
    request.unlink()
    extensions.unlink()
