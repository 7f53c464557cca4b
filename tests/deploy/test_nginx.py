"""The shipped nginx.conf: nginx accepts it, and what goes through it arrives as it should."""

from __future__ import annotations

import http.client
import json
import shutil
import ssl
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.api import Api
from tests.support.nginx import Nginx, configured, program
from tests.support.processes import eventually

DEPLOY = Path(__file__).parents[2] / "deploy"
UNITS = ["consent-web.socket", "consent-web.service", "consent-worker.service"]
ASKED = {"customer": "email:ben@example.com", "channel": "email", "topic": "offers"}


def asked(
    nginx: Nginx, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    conn = http.client.HTTPConnection("127.0.0.1", nginx.port, timeout=30)
    conn.request(method, path, body or None, dict(headers or {}))
    answer = conn.getresponse()
    read = answer.read()
    conn.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, read


def authorized(shared: Api) -> dict[str, str]:
    return {"Authorization": f"Bearer {shared.keys['campaign']}", "Content-Type": "application/json"}


def test_nginx_accepts_the_shipped_file(tmp_path: Path) -> None:
    file = configured(tmp_path, port=20001, tls_port=20002, service_port=20003)
    done = subprocess.run([program(), "-t", "-c", str(file), "-p", str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr


def test_a_question_goes_through_with_and_without_tls(nginx: Nginx, shared: Api) -> None:
    status, headers, body = asked(
        nginx, "POST", "/v1/permissions/check", json.dumps(ASKED).encode(), authorized(shared)
    )
    assert (status, json.loads(body)["reason"]) == (200, "unknown_customer")
    assert len(headers["x-request-id"]) == 32
    trust = ssl.create_default_context(cafile=str(nginx.folder / "certificate.pem"))
    trust.check_hostname = False
    conn = http.client.HTTPSConnection("127.0.0.1", nginx.tls_port, context=trust, timeout=30)
    conn.request("GET", "/v1/me", headers=authorized(shared))
    assert conn.getresponse().status == 200
    conn.close()


def test_nothing_says_what_answers(nginx: Nginx) -> None:
    for path in ("/health/live", "/nowhere"):
        _, headers, _ = asked(nginx, "GET", path)
        assert headers["server"] == "nginx"


def test_what_a_client_claims_about_itself_ends_at_nginx(nginx: Nginx) -> None:
    text = (DEPLOY / "nginx.conf").read_text()
    for line in ("X-Forwarded-For $remote_addr", 'X-Forwarded-Host ""', 'Forwarded ""', "X-Forwarded-Proto $scheme"):
        assert f"proxy_set_header {line};" in text
    status, _, _ = asked(nginx, "GET", "/health/live", headers={"X-Forwarded-For": "evil", "SCRIPT_NAME": "/x"})
    assert status == 200


def test_a_long_body_is_refused_by_nginx_in_the_services_form(nginx: Nginx, shared: Api) -> None:
    status, headers, body = asked(
        nginx, "POST", "/v1/permissions/check", b"", {**authorized(shared), "Content-Length": str(17 << 20)}
    )
    assert status == 413
    assert headers["content-type"] == "application/problem+json"
    assert json.loads(body)["code"] == "body_too_large"


def test_the_logs_hold_nothing_of_a_person(nginx: Nginx, shared: Api) -> None:
    marker = "marker-of-a-person"
    asked(nginx, "GET", f"/v1/{marker}?customer={marker}", headers={**authorized(shared), "X-Name": marker})
    asked(nginx, "POST", "/v1/contacts", json.dumps({**ASKED, "customer": marker}).encode(), authorized(shared))
    # nginx writes its line when the answer has gone.
    eventually(lambda: json.loads((nginx.folder / "access.log").read_text().splitlines()[-1])["status"] == 422)
    for file in nginx.folder.iterdir():
        if file.is_file():
            assert marker not in file.read_text(errors="replace"), file.name


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    shipped = "/opt/consent-service/.venv/bin/consent-service"
    for unit in UNITS:
        text = (DEPLOY / unit).read_text()
        (tmp_path / unit).write_text(text.replace(shipped, str(Path(sys.executable).with_name("consent-service"))))
    done = subprocess.run(
        [analyze, "verify", "--recursive-errors=no", *(str(tmp_path / unit) for unit in UNITS)],
        capture_output=True,
        text=True,
    )
    # Some versions ask a running systemd for what other units there are.
    if "Failed to initialize manager" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert (done.returncode, done.stderr) == (0, "")


def test_the_numbers_that_belong_together_agree() -> None:
    from consent_service.settings import Settings
    from consent_service.web.patient_worker import STOP_KEPT_SECONDS

    text = (DEPLOY / "nginx.conf").read_text()
    upstream = text[text.index("upstream consent") :]
    assert "keepalive_timeout 1s;" in upstream
    assert STOP_KEPT_SECONDS >= 3
    assert "client_max_body_size 16m;" in text
    environment = {"DATABASE_URL": "postgresql://x@127.0.0.1/x", "CONSENT_SECRET_KEY": "x" * 40}
    assert Settings.from_environment(environment).max_body_bytes == 16 << 20
