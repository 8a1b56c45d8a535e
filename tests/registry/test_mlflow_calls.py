"""What MLflow and its clients raise: waited out where it may pass, else a `RegistryError` that says what to do."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import botocore.exceptions as aws
import pytest
import requests
import sqlalchemy.exc
from boto3.exceptions import S3UploadFailedError
from google.protobuf.json_format import ParseError
from mlflow.exceptions import MlflowException, RestException
from mlflow.protos import databricks_pb2 as codes

from mmst.core.errors import ConfigError, RegistryError, Stopped, StoreError
from mmst.core.redaction import redacted
from mmst.registry import mlflow_calls
from mmst.registry.mlflow_calls import Away, reach

SERVER, DATABASE = "http://user:secret@mlflow.example.com", "sqlite:////tmp/mlflow.db"


def said(kind: type[Exception], *arguments: Any, **more: Any) -> Callable[[], None]:
    def call() -> None:
        raise kind(*arguments, **more)

    return call


def wrapped(inner: Exception, text: str = "API request to http://x failed with exception") -> Callable[[], None]:
    """As MLflow wraps what its HTTP client raises: without `from`."""

    def call() -> None:
        try:
            raise inner
        except Exception as e:
            raise MlflowException(f"{text} {e}")  # noqa: B904

    return call


def answered(status: int) -> requests.HTTPError:
    response = requests.Response()
    response.status_code = status
    return requests.HTTPError(f"{status} Error", response=response)


def of_s3(code: str, status: int) -> aws.ClientError:
    return aws.ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "PutObject")  # type: ignore[typeddict-item]


def upload_failed(inner: Exception) -> Callable[[], None]:
    def call() -> None:
        try:
            raise inner
        except Exception as e:
            raise S3UploadFailedError(f"Failed to upload x to b/x: {e}")  # noqa: B904

    return call


def no_json(text: str) -> Callable[[], None]:
    return lambda: json.loads(text)


def rest(code: str, message: str = "no") -> Callable[[], None]:
    return said(RestException, {"error_code": code, "message": message})


def test_the_remedy_for_a_server_that_is_away_fits_where_this_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Away, match="to use SQLite"):
        reach("http://127.0.0.1:9", attempts=1)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    with pytest.raises(Away, match=r"mlflow\.address names its Service"):
        reach("http://127.0.0.1:9", attempts=1)


PASSES = {
    "refused connection": wrapped(requests.ConnectionError("Connection refused")),
    "time-out": wrapped(requests.ReadTimeout("timed out")),
    "reset": wrapped(requests.exceptions.ChunkedEncodingError("Connection broken: IncompleteRead")),
    "plain reset": said(ConnectionResetError, 104, "Connection reset by peer"),
    "503 after MLflow's own tries": wrapped(requests.exceptions.RetryError("too many 503 error responses")),
    "502 page of a proxy": said(
        MlflowException, "API request to endpoint /x failed with error code 502 != 200. Body: <p>"
    ),
    "500 of the server": rest("INTERNAL_ERROR", "database is locked"),
    "503 of the server": rest("TEMPORARILY_UNAVAILABLE"),
    "429 of the server": rest("REQUEST_LIMIT_EXCEEDED"),
    "504 while an artifact is put": lambda: (_ for _ in ()).throw(answered(504)),
    "408": lambda: (_ for _ in ()).throw(answered(408)),
    "a page instead of JSON": no_json("<html>starting</html>"),
    "an empty answer": no_json(""),
    "JSON of another shape": said(ParseError, "no field named x"),
    "a list": said(AttributeError, "'list' object has no attribute 'get'"),
    "a missing key": said(KeyError, "run"),
    "S3 not reachable": said(aws.EndpointConnectionError, endpoint_url="http://s3"),
    "S3 slow down": lambda: (_ for _ in ()).throw(of_s3("SlowDown", 503)),
    "an upload that met a 500": upload_failed(of_s3("InternalError", 500)),
    "no server": said(Away, "no MLflow server answers"),
}
STAYS = {
    "400": (rest("INVALID_PARAMETER_VALUE", "Invalid model version source"), "Invalid model version source.*Remedy"),
    "404": (rest("RESOURCE_DOES_NOT_EXIST"), "Remedy"),
    "401": (lambda: (_ for _ in ()).throw(answered(401)), "MLFLOW_TRACKING_USERNAME"),
    "403": (rest("PERMISSION_DENIED"), "let this user write"),
    "403 for a host name": (said(MlflowException, "endpoint x failed with error code 403 != 200"), "--allowed-hosts"),
    "413 of a proxy": (lambda: (_ for _ in ()).throw(answered(413)), "limit for request bodies"),
    "413 as MLflow says it": (said(MlflowException, "endpoint /x failed with error code 413 != 200"), "request bodies"),
    "501": (said(MlflowException, "endpoint /x failed with error code 501 != 200"), "Remedy"),
    "certificate": (wrapped(requests.exceptions.SSLError("CERTIFICATE_VERIFY_FAILED")), "SERVER_CERT_PATH"),
    "an address that is none": (wrapped(requests.exceptions.InvalidURL("x")), "Remedy"),
    "no credentials for the bucket": (said(aws.NoCredentialsError), "AWS_ACCESS_KEY_ID"),
    "a bucket that forbids": (upload_failed(of_s3("AccessDenied", 403)), "artifact store"),
    "no bucket": (upload_failed(of_s3("NoSuchBucket", 404)), "create the bucket"),
    "a full disk": (said(OSError, 28, "No space left on device"), "free space"),
    "no right": (said(PermissionError, 13, "Permission denied", "/mlartifacts"), "artifacts-destination"),
}
OF_A_DATABASE = {
    "an older schema": (said(MlflowException, "Detected out-of-date database schema (found x)"), "mlflow db upgrade"),
    "a constraint": (said(sqlalchemy.exc.IntegrityError, "INSERT", {}, Exception("UNIQUE")), "Remedy"),
    "a wrong value": (said(MlflowException, "no", error_code=codes.INVALID_PARAMETER_VALUE), "Remedy"),
    "no driver": (said(ModuleNotFoundError, "No module named 'psycopg2'"), "psycopg2"),
    "no dialect": (said(sqlalchemy.exc.NoSuchModuleError, "Can't load plugin"), "Remedy"),
    "a bad address": (said(ValueError, "invalid literal"), "Remedy"),
}


@pytest.fixture(autouse=True)
def instantly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wait takes no time, but counts."""
    clock = {"now": 0.0}
    monkeypatch.setattr(time, "monotonic", lambda: clock["now"])
    monkeypatch.setattr(time, "sleep", lambda s: clock.update(now=clock["now"] + s))
    monkeypatch.setattr(mlflow_calls, "reach", lambda uri, attempts=3: None)


class Shows:
    """A progress display that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.done = 0

    @contextlib.contextmanager
    def task(self, name: str, total: int, unit: str) -> Iterator[Shows]:
        self.lines.append(f"{name} {total} {unit}")
        yield self

    def advance(self, n: int = 1, note: str = "") -> None:
        self.done += n
        self.lines.append(note)

    def found(self, n: int) -> None:
        self.done += n


def attempts(trouble: Callable[[], Any], count: int = 1 << 30) -> Callable[[], int]:
    """Meets trouble `count` times, then returns how often it was called."""
    calls = [0]

    def attempt() -> int:
        calls[0] += 1
        if calls[0] <= count:
            trouble()
        return calls[0]

    return attempt


def patiently(attempt: Callable[[], Any], uri: str, patience: float, shows: Shows) -> Any:
    with mlflow_calls.translated(uri):
        return mlflow_calls.patiently(attempt, uri, patience, shows)


@pytest.mark.parametrize("name", PASSES)
def test_trouble_that_may_pass_is_waited_out(name: str) -> None:
    assert patiently(attempts(PASSES[name], 3), SERVER, 60.0, Shows()) == 4


@pytest.mark.parametrize("name", PASSES)
def test_trouble_that_does_not_pass_is_an_error_at_the_end_of_patience(name: str) -> None:
    with pytest.raises(RegistryError, match=r"for 60 s \(\d+ × .*Remedy: .*same command") as caught:
        patiently(attempts(PASSES[name]), SERVER, 60.0, Shows())
    assert 50 < time.monotonic() <= 60
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", STAYS)
def test_what_will_not_pass_is_not_tried_again(name: str) -> None:
    trouble, message = STAYS[name]
    with pytest.raises(RegistryError, match=f"mlflow.example.com: .*{message}") as caught:
        patiently(attempts(trouble, 1), SERVER, 60.0, Shows())
    assert "Remedy" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", OF_A_DATABASE)
def test_a_database_that_refuses_is_not_asked_again(name: str) -> None:
    trouble, message = OF_A_DATABASE[name]
    with pytest.raises(RegistryError, match=message):
        patiently(attempts(trouble, 1), DATABASE, 60.0, Shows())


@pytest.mark.parametrize(
    "trouble",
    [
        said(MlflowException, "locked", error_code=codes.TEMPORARILY_UNAVAILABLE),
        said(sqlalchemy.exc.OperationalError, "SELECT", {}, Exception("database is locked")),
    ],
)
def test_a_database_that_is_busy_is_asked_again(trouble: Callable[[], None]) -> None:
    assert patiently(attempts(trouble, 2), DATABASE, 60.0, Shows()) == 3


def test_a_wait_is_shown_with_its_reason_and_its_length() -> None:
    shows = Shows()
    patiently(attempts(PASSES["503 of the server"], 4), SERVER, 60.0, shows)
    assert shows.lines[0] == "waiting for MLflow 60 s"
    assert all("TEMPORARILY_UNAVAILABLE" in line for line in shows.lines[1:])
    assert shows.done <= 60


def test_without_trouble_nothing_is_shown() -> None:
    shows = Shows()
    assert patiently(lambda: 7, SERVER, 60.0, shows) == 7
    assert not shows.lines


@pytest.mark.parametrize("error", [ConfigError("x"), StoreError("x"), RegistryError("x"), Stopped("x")])
def test_errors_of_our_own_are_not_waited_out(error: Exception) -> None:
    def trouble() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        patiently(attempts(trouble, 1), SERVER, 60.0, Shows())
    assert caught.value is error


def test_ctrl_c_that_mlflow_takes_for_trouble_of_its_own_still_stops() -> None:
    with pytest.raises(Stopped, match="stopped by SIGTERM"):
        patiently(attempts(wrapped(Stopped("stopped by SIGTERM")), 1), SERVER, 60.0, Shows())


def test_a_mistake_in_our_own_code_is_no_trouble_of_mlflow() -> None:
    with pytest.raises(AssertionError):
        patiently(attempts(said(AssertionError), 1), SERVER, 60.0, Shows())


@pytest.mark.parametrize(
    ("uri", "clean"),
    [
        ("http://mlflow:5000", "http://mlflow:5000"),
        ("https://me:secret@mlflow.example.com/x", "https://***@mlflow.example.com/x"),
        ("http://token@host", "http://***@host"),
        ("postgresql://me:p%40ss@db/mlflow", "postgresql://***@db/mlflow"),
        ("sqlite:////home/me@work/mlflow.db", "sqlite:////home/me@work/mlflow.db"),
    ],
)
def test_an_address_is_shown_without_its_password(uri: str, clean: str) -> None:
    assert redacted(uri) == clean


def test_a_password_in_what_mlflow_says_is_not_repeated() -> None:
    trouble = wrapped(requests.exceptions.SSLError("no"), f"API request to {SERVER}/api failed with exception")
    with pytest.raises(RegistryError) as caught:
        patiently(attempts(trouble, 1), SERVER, 60.0, Shows())
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("uri", ["http://[", "http://nowhere.invalid:99999", "http://exa mple"])
def test_an_address_that_is_none_is_a_registry_error(uri: str) -> None:
    with pytest.raises(RegistryError, match="no MLflow server answers"):
        reach(uri)
