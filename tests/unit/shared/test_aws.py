"""The lean client asks what botocore's own would ask, in every partition, and so does the leaner DynamoDB."""

import http.server
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.awsrequest import AWSPreparedRequest
from botocore.exceptions import HTTPClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from handlers.shared import aws

_SESSION = botocore.session.Session()
REGIONS = [
    region
    for partition in _SESSION.get_available_partitions()
    for region in _SESSION.get_available_regions("dynamodb", partition)[::7]
]


class _StopError(Exception):
    """Raised in place of sending."""


def request(client: Any) -> tuple[str, str]:
    """Where the client would send a request, and for which region and service it signs."""
    seen = {}

    def stop(request: Any, **_: Any) -> None:
        seen["url"], seen["signed"] = request.url, request.headers["Authorization"].decode().split(",")[0]
        raise _StopError

    client.meta.events.register_first("before-send", stop)
    with pytest.raises(_StopError):
        client.list_tables()
    return seen["url"], seen["signed"]


@pytest.mark.parametrize("region", REGIONS)
def test_a_client_finds_and_signs_for_the_same_endpoint_as_botocores_own(
    region: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)

    lean, usual = aws.client("dynamodb", 1), botocore.session.Session().create_client("dynamodb")

    assert request(lean) == request(usual)
    assert lean.meta.partition == usual.meta.partition


@pytest.mark.parametrize("region", REGIONS)
def test_a_leaner_call_goes_to_the_same_endpoint_with_the_same_signature(
    region: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    sent: list[AWSPreparedRequest] = []

    def stop(request: AWSPreparedRequest, **_: Any) -> None:
        sent.append(request)
        raise _StopError

    usual = botocore.session.Session().create_client("dynamodb")
    usual.meta.events.register_first("before-send", stop)
    session = botocore.session.Session()
    session.register("before-send", stop)
    lean = aws.DynamoDB(session, usual.meta.endpoint_url, region)
    key = {"RecordID": {"N": "7"}}
    with pytest.raises(_StopError):
        usual.get_item(TableName="t", Key=key)
    with pytest.raises(_StopError):
        lean.call("GetItem", {"TableName": "t", "Key": key})

    theirs, ours = sent
    assert (ours.url, ours.method, ours.body) == (theirs.url, theirs.method, theirs.body)
    assert signature(ours) == signature(theirs)
    for name in "X-Amz-Target", "Content-Type", "X-Amz-Security-Token":
        assert text(ours.headers[name]) == text(theirs.headers[name])


def signature(request: AWSPreparedRequest) -> list[str]:
    """By whom and for what region, and which headers are signed."""
    return text(request.headers["Authorization"]).split(", ")[:2]


def text(value: str | bytes) -> str:
    """botocore has some headers as bytes."""
    return value if isinstance(value, str) else value.decode()


class Answers(http.server.BaseHTTPRequestHandler):
    """A DynamoDB that says how many requests this connection has had, and hangs up when asked to."""

    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.requests = 0

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.requests += 1
        if b"hang up" in body:
            self.close_connection = True
            return
        if b"be slow" in body:
            time.sleep(0.5)
        answer = b'{"Requests": %d}' % self.requests
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


class Server(http.server.ThreadingHTTPServer):
    """A server that keeps quiet about clients who have gone."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """See BaseServer."""


@contextmanager
def server(tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """A server on a free port, which it yields."""
    with Server(("127.0.0.1", 0), Answers) as serving:
        if tls:
            serving.socket = tls.wrap_socket(serving.socket, server_side=True)
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        try:
            yield serving.server_address[1]
        finally:
            serving.shutdown()
            thread.join()


def test_a_thread_keeps_its_connection_and_opens_another_when_that_is_lost() -> None:
    with server() as port:
        dynamodb = aws.DynamoDB(botocore.session.Session(), f"http://127.0.0.1:{port}", "us-east-1")

        assert [dynamodb.call("PutItem", {})["Requests"] for _ in range(3)] == [1, 2, 3]
        with pytest.raises(HTTPClientError):
            dynamodb.call("PutItem", {"TableName": "hang up"})
        assert dynamodb.call("PutItem", {}) == {"Requests": 1}

        dynamodb._close()


def test_an_answer_that_takes_too_long_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws, "READ_SECONDS", 0.1)

    with server() as port:
        dynamodb = aws.DynamoDB(botocore.session.Session(), f"http://127.0.0.1:{port}", "us-east-1")

        with pytest.raises(HTTPClientError, match="timed out"):
            dynamodb.call("PutItem", {"TableName": "be slow"})


def test_an_endpoint_must_prove_its_name_by_a_certificate_of_a_known_authority(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, key = certificate(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(bundle, key)

    with server(tls) as port:
        stranger = aws.DynamoDB(botocore.session.Session(), f"https://localhost:{port}", "us-east-1")
        with pytest.raises(HTTPClientError, match=r"self.signed certificate"):
            stranger.call("PutItem", {})

        monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle))
        known = aws.DynamoDB(botocore.session.Session(), f"https://localhost:{port}", "us-east-1")
        assert known.call("PutItem", {}) == {"Requests": 1}
        known._close()
        misnamed = aws.DynamoDB(botocore.session.Session(), f"https://127.0.0.1:{port}", "us-east-1")
        with pytest.raises(HTTPClientError, match=r"not valid for '127\.0\.0\.1'"):
            misnamed.call("PutItem", {})


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of localhost, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (bundle := folder / "certificate.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    (private := folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return bundle, private
