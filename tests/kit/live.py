"""An ASGI app behind a real socket, for clients that speak HTTP themselves."""

import datetime
import ipaddress
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from starlette.types import ASGIApp

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Certificate:
    """Of a server that is its own authority."""

    certificate: Path
    key: Path


def certificate(where: Path, host: str = HOST) -> Certificate:
    """One for an hour, for an IP address."""
    key = generate_private_key(SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    now = datetime.datetime.now(datetime.UTC)  # noqa: TID251 - TLS looks at the clock itself
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(alternative, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    found = Certificate(where / "tls.crt", where / "tls.key")
    found.certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    found.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return found


@contextmanager
def live(app: ASGIApp, tls: Certificate | None = None) -> Iterator[str]:
    """`HOST:PORT` where `app` answers, while the context is open."""
    more: dict[str, Any] = {"ssl_certfile": tls.certificate, "ssl_keyfile": tls.key} if tls else {}
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="error", **more))
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        thread = Thread(target=server.run, args=([listener],), daemon=True)
        listener.listen()  # from here on a client waits until the server takes it
        thread.start()
        try:
            yield f"{HOST}:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=10)
