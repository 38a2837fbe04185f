"""A certificate authority for one test, created with the machine's openssl."""

import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Certificate:
    """Both ends of TLS: a server's certificate, and a client that trusts only this certificate."""

    server: ssl.SSLContext
    client: ssl.SSLContext


def certificate_for(name: str, folder: Path, *others: str) -> Certificate:
    """Return a fresh certificate for these names, signed by a fresh authority (``authority.pem``)."""
    names = ",".join(f"DNS:{one}" for one in (name, *others))
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed, so no certificate can be created")
    authority, authority_key = folder / "authority.pem", folder / "authority-key.pem"
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    for command in (
        ["-keyout", authority_key, "-out", authority, "-subj", "/CN=Test authority"],
        [
            *("-keyout", key, "-out", certificate, "-subj", f"/CN={name}"),
            *("-CA", authority, "-CAkey", authority_key),
            *("-addext", f"subjectAltName={names}", "-addext", "basicConstraints=CA:FALSE"),
        ],
    ):
        subprocess.run([*new, "-days", "2", *map(str, command)], check=True, capture_output=True)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    return Certificate(server, ssl.create_default_context(cafile=str(authority)))
