"""An S3 server in trouble: waited out for a total time; and no wrong byte is believed."""

import contextlib
import random
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("boto3")

from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
    SSLError,
)
from botocore.parsers import ResponseParserError

from mmst import wiring
from mmst.core.errors import StoreError
from mmst.storage import s3_patience
from mmst.storage.folder import FolderStore
from mmst.storage.s3_patience import Exhausted, Patience
from mmst.wiring import open_store
from tests.support import stage_process
from tests.support.s3_server import CREDENTIALS, proxy, s3_server


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with s3_server() as url:
        yield url


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    import boto3

    boto3.client("s3").create_bucket(Bucket="mmst")
    return f"s3://mmst/{uuid.uuid4().hex}"


def refusal(status: int, code: str = "", after: str = "") -> ClientError:
    headers = {"retry-after": after} if after else {}
    meta = {"HTTPStatusCode": status, "HTTPHeaders": headers}
    return ClientError({"Error": {"Code": code or str(status)}, "ResponseMetadata": meta}, "GetObject")  # type: ignore[typeddict-item]


PASSING: list[Exception] = [
    *(refusal(status) for status in (408, 425, 429, 500, 502, 503, 504, 509, 520, 529)),
    refusal(503, "SlowDown"),
    refusal(400, "RequestTimeout"),
    refusal(400, "Throttling"),
    refusal(400, "BadDigest"),
    refusal(409, "ConditionalRequestConflict"),
    refusal(200, "InternalError"),
    ConnectionClosedError(endpoint_url="u"),
    ConnectTimeoutError(endpoint_url="u"),
    ReadTimeoutError(endpoint_url="u"),
    EndpointConnectionError(endpoint_url="u"),
    SSLError(endpoint_url="u", error=Exception("EOF occurred in violation of protocol")),
    ResponseParserError("no XML"),
]
LASTING: list[Exception] = [
    *(refusal(status) for status in (301, 400, 401, 403, 404, 405, 412, 501)),
    refusal(404, "NoSuchBucket"),
    refusal(403, "AccessDenied"),
    refusal(403, "SignatureDoesNotMatch"),
    refusal(400, "ExpiredToken"),
    refusal(501, "NotImplemented"),
    SSLError(endpoint_url="u", error=Exception("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed")),
    NoCredentialsError(),
    ParamValidationError(report="r"),
]


@pytest.mark.parametrize("error", PASSING, ids=str)
def test_trouble_that_may_pass_is_waited_out(error: Exception) -> None:
    troubles: list[Exception] = [error] * 3

    def ask() -> str:
        if troubles:
            raise troubles.pop()
        return "done"

    assert Patience()(ask) == "done"


@pytest.mark.parametrize("error", LASTING, ids=str)
def test_trouble_that_will_not_pass_is_said_at_once(error: Exception) -> None:
    asked = []

    def ask() -> None:
        asked.append(1)
        raise error

    with pytest.raises(type(error)):
        Patience()(ask)
    assert asked == [1]


@pytest.mark.parametrize(
    ("after", "seconds"),
    [("2", 2), ("0.5", 0.5), ("0", 0), ("-5", 0), ("nan", 0), ("inf", 0), ("1e9", 0), ("600", 0),
     ("599", 599), ("soon", 0), ("", 0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0)],
)  # fmt: skip
def test_how_long_a_server_asks_to_be_left_alone(after: str, seconds: float) -> None:
    assert s3_patience.asked_pause(refusal(503, "SlowDown", after)) == seconds


def test_patience_ends_and_says_what_there_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_patience, "TOTAL", 1.0)
    began, asked = time.monotonic(), []

    def ask() -> None:
        asked.append(1)
        raise refusal(503, "SlowDown")

    with pytest.raises(Exhausted, match=r"within 1 s: \d+ × .*SlowDown"):
        Patience()(ask)
    assert time.monotonic() - began < 10
    assert 3 <= len(asked) < 15


def test_a_pause_beyond_what_is_left_ends_it_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_patience, "TOTAL", 5.0)
    began = time.monotonic()

    def ask() -> None:
        time.sleep(0.6)
        raise refusal(503, "SlowDown", "4.8")

    with pytest.raises(Exhausted):
        Patience()(ask)
    assert time.monotonic() - began < 4


def test_a_server_that_answered_once_is_waited_for_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_patience, "REACH", 0.3)
    patience, gone = Patience(), [EndpointConnectionError(endpoint_url="u")] * 4

    def ask() -> str:
        if gone:
            raise gone.pop()
        return "done"

    with pytest.raises(Exhausted):
        patience(ask)
    gone[:] = []
    assert patience(ask) == "done"
    gone[:] = [EndpointConnectionError(endpoint_url="u")] * 3
    assert patience(ask) == "done"


BAD = [
    "x", "http://", "http://127.0.0.1:99999", "http://127.0.0.1:x", "ftp://127.0.0.1:1", "127.0.0.1:9000", "http://[::1",
    "http://exa mple", "http://é", "http://127.0.0.1:1/\n", "file:///x", "http://:80", "https://..", "//h",
    "http://127.0.0.1:-1", "http://" + "a" * 300,
]  # fmt: skip


@pytest.mark.parametrize("endpoint", BAD)
def test_an_endpoint_that_is_none_is_said_at_once(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": endpoint}.items():
        monkeypatch.setenv(name, value)
    began = time.monotonic()
    with pytest.raises(StoreError, match=r"Remedy: check AWS_ENDPOINT_URL"):
        open_store("s3://mmst/x").read("a")
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("name", ["AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_CONFIG_FILE"])
def test_settings_that_are_none_are_a_store_error(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "config").write_bytes(b"\xff\xfe no settings")
    for key, value in {**CREDENTIALS, name: str(tmp_path / "config")}.items():
        monkeypatch.setenv(key, value)
    with pytest.raises(StoreError):
        open_store("s3://mmst/x").read("a")


@pytest.mark.server
def test_ten_times_slow_down_and_then_an_answer(server: str, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_patience, "LONGEST_PAUSE", 0.4)
    plan = ["slow", "500"] * 5
    with proxy(server, plan) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        store = open_store(bucket)
        store.write("a", b"1")
        assert (store.read("a"), plan) == (b"1", [])


@pytest.mark.server
def test_a_pause_that_the_server_asks_for_is_kept(server: str, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with proxy(server, ["slow:2"]) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        store, began = open_store(bucket), time.monotonic()
        assert store.read("nothing") is None
        assert time.monotonic() - began >= 2


@pytest.mark.server
@pytest.mark.parametrize("trouble", ["slow", "500", "reset", "cut", "lose"])
def test_files_travel_through_trouble(
    trouble: str, server: str, bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data = random.Random(1).randbytes(300_000)
    (tmp_path / "source").write_bytes(data)
    plan = [trouble] * 2
    with proxy(server, plan) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        store = open_store(bucket)
        store.put_file("big", tmp_path / "source")
        plan[:] = ["pass", trouble, trouble]  # the first asks for the size
        store.get_file("big", tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == data


class Flaky(list[str]):
    """A plan without end: three requests in ten go wrong."""

    def __init__(self, kinds: list[str], seed: int) -> None:
        self.kinds, self.chance, self.counts = kinds, random.Random(seed), dict[str, int]()

    def __bool__(self) -> bool:
        return True

    def pop(self, index: Any = -1) -> str:
        action = self.chance.choice(self.kinds) if self.chance.random() < 0.3 else "pass"
        self.counts[action] = self.counts.get(action, 0) + 1
        return action


@pytest.mark.server
@pytest.mark.timeout(180)
def test_a_run_through_three_bad_answers_in_ten_makes_the_same(
    server: str, bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole = stage_process.run(FolderStore(tmp_path))
    plan = Flaky(["500", "503", "slow", "reset", "lose", "cut", "short", "wrong"], 16)
    with proxy(server, plan) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        made: list[str] = []
        for _ in range(5):  # where an object was spoilt each time it was read, the same command again
            with contextlib.suppress(StoreError):
                made = made or stage_process.run(wiring.open_store(bucket))
    assert made == whole
    assert {"500", "slow", "reset", "lose", "cut", "short", "wrong"} <= plan.counts.keys()
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    assert len(list(stage_process.read(open_store(bucket)))) == 3 * stage_process.SHARDS * stage_process.SIZE


@pytest.mark.server
def test_a_full_scratch_is_named_with_a_remedy(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(bucket)
    store.write("stages/train/1/weights", b"w" * 100_000)
    monkeypatch.setenv("MMST_SCRATCH", "/proc")
    with pytest.raises(StoreError, match=r"cannot keep s3://.* in /proc/.*Remedy: .*MMST_SCRATCH"):
        store.scratch("stages/train/1")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match=r"cannot keep s3://.*Remedy: .*MMST_SCRATCH"):
        store.get_file("stages/train/1/weights", tmp_path / "file" / "weights")
