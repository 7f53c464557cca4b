"""A real nginx with the shipped configuration, on ports and files of a test's own."""

from __future__ import annotations

import contextlib
import datetime
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.cluster import free_port

SHIPPED = Path(__file__).parents[2] / "deploy" / "nginx.conf"
PROGRAM = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")


@dataclass(frozen=True)
class Nginx:
    """A running nginx: its port without TLS, the one with it, and where its files are."""

    port: int
    tls_port: int
    folder: Path


def program() -> str:
    """nginx, or the test is skipped."""
    if PROGRAM is None:
        pytest.skip("nginx is not installed")
    return PROGRAM


def configured(folder: Path, *, port: int, tls_port: int, service_port: int) -> Path:
    """The shipped file with other ports and paths; nothing else differs."""
    text = SHIPPED.read_text(encoding="utf-8")
    for shipped, ours in (
        ("listen 443 ssl;", f"listen 127.0.0.1:{tls_port} ssl;"),
        ("listen [::]:443 ssl;", ""),
        ("listen 127.0.0.1:8081;", f"listen 127.0.0.1:{port};"),
        ("server 127.0.0.1:8080 ", f"server 127.0.0.1:{service_port} "),
        ("/etc/ssl/preferences.pem", f"{folder}/certificate.pem"),
        ("/etc/ssl/private/preferences.key", f"{folder}/certificate.key"),
        ("pid /run/nginx.pid;", f"pid {folder}/nginx.pid;"),
        ("error_log /var/log/nginx/error.log crit;", f"error_log {folder}/error.log crit;"),
        ("/var/log/nginx/access.log", f"{folder}/access.log"),
        ("\nhttp {\n", "\nhttp {\n" + "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in _TEMPORARY)),
    ):
        assert text.count(shipped) == 1, shipped
        text = text.replace(shipped, ours)
    _write_certificate(folder)
    written = folder / "nginx.conf"
    written.write_text(text, encoding="utf-8")
    return written


@contextlib.contextmanager
def nginx_before(service_port: int) -> Iterator[Nginx]:
    """nginx in front of a service that listens on 127.0.0.1."""
    nginx = program()
    with tempfile.TemporaryDirectory(prefix="consent-nginx-") as made:
        folder = Path(made)
        folder.chmod(0o711)
        running = Nginx(free_port(), free_port(), folder)
        file = configured(folder, port=running.port, tls_port=running.tls_port, service_port=service_port)
        process = subprocess.Popen(
            [nginx, "-c", str(file), "-p", made, "-e", f"{made}/start.log", "-g", "daemon off;"],
            stdin=subprocess.DEVNULL,
        )
        try:
            _wait_until_it_listens(running.port, process)
            yield running
        finally:
            process.terminate()
            process.wait(20)


_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def _wait_until_it_listens(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise AssertionError("nginx does not listen")


def _write_certificate(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "preferences.example")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("preferences.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "certificate.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
