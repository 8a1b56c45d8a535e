"""The client's HTTP: connections that are kept or not, what an answer may look like, proxies, TLS, and no injection."""

import base64
import datetime
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mmst.core.errors import SamplerError
from mmst.core.ports import Request
from mmst.inference.providers import openai
from mmst.inference.providers.openai import OpenAIServer
from tests.support.openai_stub import Fake, Handler, Wire, completion, starting


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setattr(openai, "FIRST_PAUSE", 0.02)


@pytest.fixture
def start() -> Iterator[Callable[..., Fake]]:
    with starting() as begin:
        yield begin


def ask(seed: int = 1) -> Request:
    return Request(id=f"r{seed}", prompt="?", n=1, seed=seed, temperature=0.5, top_p=0.9, max_tokens=7, stop=())


def texts(url: str, requests: int = 1, **options: Any) -> list[str]:
    with OpenAIServer(url, "", concurrency=1, deadline=20.0, **options) as server:
        return [answer[0].text for answer in server.sample([ask(i) for i in range(requests)])]


def good(attempt: int, body: dict[str, Any]) -> Any:
    return completion(body)


def sent(head: bytes, data: Callable[[bytes], bytes] = lambda data: data, close: bool = False) -> Any:
    """Behaviour: answers with this head, and their body changed."""

    def behaviour(attempt: int, body: dict[str, Any]) -> Wire:
        def write(handler: Handler) -> None:
            made = data(completion(body)[2])
            handler.wfile.write(head.replace(b"LENGTH", b"%d" % len(made)) + b"\r\n\r\n" + made)
            handler.close_connection |= close

        return write

    return behaviour


def test_a_connection_is_used_again(start: Callable[..., Fake]) -> None:
    fake = start(good)
    assert texts(fake.url, 20) == [f"{i}.0" for i in range(20)]
    assert fake.connections == 1


def test_a_connection_that_the_server_closes_is_replaced_without_a_fault(start: Callable[..., Fake]) -> None:
    fake = start(lambda n, body: (200, {"Connection": "close"}, completion(body)[2]))
    assert texts(fake.url, 5) == [f"{i}.0" for i in range(5)]
    assert (fake.connections, len(fake.bodies)) == (5, 5)  # the list of models came by the first


def test_a_connection_with_more_than_its_answer_is_not_used_again(start: Callable[..., Fake]) -> None:
    late = threading.Event()

    def behaviour(attempt: int, body: dict[str, Any]) -> Any:
        if attempt > 1:
            return completion(body)

        def write(handler: Handler) -> None:
            data = completion(body)[2]
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
            late.wait(20)
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

        return write

    fake = start(behaviour)
    with OpenAIServer(fake.url, "", concurrency=1, deadline=20.0) as server:
        assert server.sample([ask(1)])[0][0].text == "1.0"
        late.set()
        while server.server._client._idle:  # until the surplus is there
            threading.Event().wait(0.01)
        assert server.sample([ask(2)])[0][0].text == "2.0"
    assert len(fake.bodies) == 2


def chunked(data: bytes) -> bytes:
    return b"5;x=1\r\n%b\r\n%x\r\n%b\r\n0\r\nX: y\r\n\r\n" % (data[:5], len(data) - 5, data[5:])


OK = b"HTTP/1.1 200 OK\r\n"
FORMS = {
    "after 1xx": sent(b"HTTP/1.1 100 Go on\r\n\r\nHTTP/1.1 103 Hints\r\nX: y\r\n\r\n" + OK + b"Content-Length: LENGTH"),
    "in chunks": sent(OK + b"Transfer-Encoding: chunked", chunked),
    "HTTP/1.0": sent(b"HTTP/1.0 200 OK", close=True),
    "to the end of the connection": sent(OK + b"Server: none", close=True),
    "in other letters": sent(OK + b"content-length: LENGTH\r\nCONNECTION: Keep-Alive"),
}


@pytest.mark.parametrize("behaviour", FORMS.values(), ids=FORMS)
def test_an_answer_of_any_form_is_read(start: Callable[..., Fake], behaviour: Any) -> None:
    assert texts(start(behaviour).url, 3) == ["0.0", "1.0", "2.0"]


@pytest.mark.parametrize("key", ["sk-1\r\nX-Evil: 1", "sk-1\nX", "sk-é"])
def test_a_key_cannot_become_a_header_of_its_own_and_is_not_shown(start: Callable[..., Fake], key: str) -> None:
    fake = start(good)
    with pytest.raises(SamplerError, match="Authorization") as e:
        texts(fake.url, key=key)
    assert key.split()[0] not in str(e.value)
    assert fake.connections == 0


def test_an_address_cannot_become_a_request_of_its_own(start: Callable[..., Fake]) -> None:
    fake = start(good)
    with pytest.raises(SamplerError, match="Remedy"):
        texts(f"{fake.url} HTTP/1.1\r\nX-Evil: 1\r\n\r\n")
    assert texts(f"{fake.url}/a b?key=1 2#é") == ["0.0"]
    assert fake.paths == ["/v1/a%20b/completions?key=1%202"]


def test_user_and_password_of_an_address_are_sent_and_a_key_before_them(start: Callable[..., Fake]) -> None:
    fake = start(good)
    url = fake.url.replace("//", "//ann:p%40ss@")
    texts(url)
    texts(url, key="sk-1")
    basic = "Basic " + base64.b64encode(b"ann:p@ss").decode()
    assert [headers["Authorization"] for headers in fake.headers] == [basic, "Bearer sk-1"]


def test_a_proxy_of_the_environment_is_asked_for_the_whole_address(
    start: Callable[..., Fake], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = start(good)
    monkeypatch.setenv("HTTP_PROXY", proxy.url.removesuffix("/v1").replace("//", "//ann:pass@"))
    assert texts("http://model.example:81/v1", 2) == ["0.0", "1.0"]
    assert proxy.paths == 2 * ["http://model.example:81/v1/completions"]
    assert proxy.headers[0]["Host"] == "model.example:81"
    assert proxy.headers[0]["Proxy-Authorization"] == "Basic " + base64.b64encode(b"ann:pass").decode()


@pytest.mark.parametrize("without", ["model.example", ".example", "*", "model.example:81"])
def test_no_proxy_goes_without(start: Callable[..., Fake], monkeypatch: pytest.MonkeyPatch, without: str) -> None:
    proxy = start(good)
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("NO_PROXY", f"other.example,{without}")
    with pytest.raises(SamplerError, match="no model server answers"):
        texts("http://model.example:81/v1")
    assert proxy.connections == 0


def test_this_machine_is_never_asked_through_a_proxy(
    start: Callable[..., Fake], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert texts(start(good).url) == ["0.0"]


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1080", "https://127.0.0.1:443"])
def test_a_proxy_that_is_not_spoken_to_is_one_error_and_not_ignored(
    monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(SamplerError, match=r"proxy of the kind .*put model\.example into NO_PROXY"):
        texts("http://model.example/v1")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of localhost and model.example that vouches for itself, with its key."""
    pytest.importorskip("cryptography")
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.DNSName("model.example")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(key.private_bytes(*form) + made.public_bytes(serialization.Encoding.PEM))
    return path


def secured(fake: Fake, certificate: Path) -> int:
    """The server, which answers by TLS from now on; its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    fake.socket = context.wrap_socket(fake.socket, server_side=True)
    return int(fake.server_address[1])


def test_tls_trusts_whom_the_system_trusts_and_nobody_else(
    start: Callable[..., Fake], monkeypatch: pytest.MonkeyPatch, certificate: Path
) -> None:
    port = secured(start(good), certificate)
    with pytest.raises(SamplerError, match="certificate verify failed"):
        texts(f"https://localhost:{port}/v1")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert texts(f"https://localhost:{port}/v1", 5) == [f"{i}.0" for i in range(5)]
    with pytest.raises(SamplerError, match="certificate verify failed"):
        texts(f"https://127.0.0.1:{port}/v1")


class Tunnel(threading.Thread):
    """A proxy that leads every CONNECT to one port of this machine, or refuses it."""

    def __init__(self, port: int, status: bytes = b"200 OK") -> None:
        super().__init__(daemon=True)
        self.port, self.status, self.asked = port, status, list[bytes]()
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.start()

    def run(self) -> None:
        while True:
            try:
                client, _ = self.listening.accept()
            except OSError:
                return
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(4096)
            self.asked.append(head)
            client.sendall(b"HTTP/1.1 " + self.status + b"\r\n\r\n")
            if self.status != b"200 OK":
                client.close()
                continue
            server = socket.create_connection(("127.0.0.1", self.port))
            for pair in ((client, server), (server, client)):
                threading.Thread(target=self.lead, args=pair, daemon=True).start()

    def lead(self, source: socket.socket, to: socket.socket) -> None:
        try:
            while data := source.recv(1 << 16):
                to.sendall(data)
            to.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def test_tls_goes_through_a_tunnel_of_the_proxy(
    start: Callable[..., Fake], monkeypatch: pytest.MonkeyPatch, certificate: Path
) -> None:
    fake = start(good)
    tunnel = Tunnel(secured(fake, certificate))
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setenv("HTTPS_PROXY", f"http://ann:pass@127.0.0.1:{tunnel.listening.getsockname()[1]}")
    assert texts("https://model.example/v1", 3) == ["0.0", "1.0", "2.0"]
    tunnel.listening.close()
    assert [head.split(b"\r\n")[0] for head in tunnel.asked] == [b"CONNECT model.example:443 HTTP/1.1"]
    assert b"Proxy-Authorization: Basic " in tunnel.asked[0]
    assert "Proxy-Authorization" not in fake.headers[0]


def test_a_proxy_that_refuses_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    tunnel = Tunnel(9, b"407 Proxy Authentication Required")
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{tunnel.listening.getsockname()[1]}")
    with pytest.raises(SamplerError, match="the proxy refuses: HTTP 407"):
        texts("https://model.example/v1")
    tunnel.listening.close()


def test_answers_that_nobody_asked_for_end_the_call_and_none_is_kept(start: Callable[..., Fake]) -> None:
    """A further answer that comes when the next request is under way would be taken for its answer, and so on."""

    def late(attempt: int, body: dict[str, Any]) -> Wire:
        def write(handler: Handler) -> None:
            made = completion(body)[2]
            answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(made), made)
            handler.wfile.write(answer)
            time.sleep(0.03)
            handler.wfile.write(answer)

        return write

    fake = start(late)
    with (
        OpenAIServer(fake.url, "", concurrency=1, deadline=20.0) as server,
        pytest.raises(SamplerError, match="sends answers that nobody asked for"),
    ):
        server.sample([ask(i) for i in range(5)])


def test_trailers_are_no_headers(start: Callable[..., Fake]) -> None:
    def chunked(data: bytes) -> bytes:
        return b"%x\r\n%b\r\n0\r\nTransfer-Encoding: gzip\r\n\r\n" % (len(data), data)

    fake = start(sent(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: LENGTH", chunked))
    assert texts(fake.url, 3) == ["0.0", "1.0", "2.0"]
