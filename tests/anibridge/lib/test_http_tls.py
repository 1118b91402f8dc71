import datetime
import ipaddress
import socket
import ssl
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from anibridge.lib import guard, http
from anibridge.lib.errors import Cancelled
from anibridge.lib.http import AllowedHosts


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for the name tls.test only."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tls.test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.DNSName("tls.test"), x509.IPAddress(ipaddress.ip_address("127.0.0.7"))]
            ),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return folder


@pytest.fixture
def tls_port(certificate, monkeypatch):
    """A TLS server that answers once and then stalls in the middle of its second answer."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    listener = socket.create_server(("127.0.0.1", 0))
    monkeypatch.setattr(guard, "resolve", lambda host, port: [(socket.AF_INET, "127.0.0.1")])

    def serve() -> None:
        try:
            plain, _ = listener.accept()
            plain.settimeout(20)
            with plain, context.wrap_socket(plain, server_side=True) as sock:
                while sock.recv(4096):
                    body = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe"
                    sock.sendall(body + (b"llo" if not served else b""))
                    served.append(1)
        except OSError:
            pass

    served: list[int] = []
    thread = threading.Thread(target=serve)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


@pytest.mark.timeout(20)
def test_tls_is_verified_against_the_name_and_a_cancel_is_seen_there_too(tls_port, certificate):
    with http.session(trusted=[f"https://tls.test:{tls_port}"]) as session:
        session.verify = str(certificate / "cert.pem")
        url = f"https://tls.test:{tls_port}/"
        assert http.fetch(url, session=session).body == b"hello"
        checks = 0

        def check() -> None:
            nonlocal checks
            checks += 1
            if checks > 2:
                raise Cancelled("called off")

        with pytest.raises(Cancelled), http.cancellation(check):
            http.fetch(url, session=session)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("known", [True, False])
def test_a_certificate_of_another_name_or_of_nobody_is_refused(tls_port, certificate, known):
    host = "other.test" if known else "tls.test"
    with http.session(trusted=[f"{host}:{tls_port}"]) as session:
        if known:
            session.verify = str(certificate / "cert.pem")
        with pytest.raises(http.OutboundError, match="certificate"):
            http.fetch(f"https://{host}:{tls_port}/", session=session)


@pytest.mark.timeout(15)
def test_a_cancel_is_seen_during_a_tls_handshake(monkeypatch):
    monkeypatch.setattr(guard, "resolve", lambda host, port: [(socket.AF_INET, "127.0.0.1")])
    checks = 0

    def check() -> None:
        nonlocal checks
        checks += 1
        if checks > 2:
            raise Cancelled("called off")

    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        allowed = AllowedHosts.parse(["tls.test"])
        with (
            http.session(allowed=allowed) as session,
            pytest.raises(Cancelled),
            http.cancellation(check),
        ):
            http.fetch(f"https://tls.test:{port}/", session=session)
