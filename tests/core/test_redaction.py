"""Credentials: refused in recipes, hidden wherever something is shown; what only looks like one is left alone."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmst.core import metrics, redaction
from mmst.core.config import parse, run_id, to_text
from mmst.core.diagnostic import Diagnostic
from mmst.core.errors import ClusterError, ConfigError, MmstError, SetupError, StoreError
from mmst.core.redaction import redacted, says_secret, without_user
from mmst.inference.providers import openai_answers
from mmst.observe.logs import JsonLines
from mmst.registry import mlflow, mlflow_calls
from mmst.runs import summary
from mmst.storage.folder import FolderStore

PW = "hunTer2-x9"
"""Whatever is shown, never this."""

REFUSED: list[tuple[str, Any]] = [
    # the user information of addresses
    ("promote.tracking_uri", f"http://me:{PW}@mlflow:5000"),
    ("promote.tracking_uri", f"https://{PW}@mlflow.example.com/x"),
    ("promote.tracking_uri", f"postgresql+psycopg2://mlflow:{PW}@db/mlflow"),
    ("promote.tracking_uri", f"HTTP://me:{PW}@[::1]:5000/"),
    ("promote.tracking_uri", f"http://me:{PW}/a#b@mlflow"),
    ("promote.tracking_uri", f"http://me@corp.org:{PW}@mlflow"),
    ("promote.tracking_uri", f"me:{PW}@mlflow:5000"),
    ("promote.tracking_uri", f"//me:{PW}@mlflow"),
    ("promote.tracking_uri", f"mssql+pyodbc:///?odbc_connect=Driver=x;PWD={PW}"),
    ("promote.tracking_uri", f"mssql+pyodbc:///?odbc_connect=Driver%3Dx%3BUid%3Dme%3BPwd%3D{PW}"),
    ("sampling.url", f"http://proxy/?to=http%3A%2F%2Fme%3A{PW}%40host%2Fv1"),
    ("sampling.url", f"http://:{PW}@127.0.0.1:8080/v1"),
    ("sampling.url", f"http:\\\\me:{PW}@host/v1"),
    ("out", f"s3://me:{PW}@bucket/prefix"),
    ("title", f"see https://me:{PW}@wiki/page"),
    ("model.base", f"https://me:{PW}@models/llama"),
    ("problems.train", [{"format": "jsonl", "path": f"https://me:{PW}@data/train.jsonl"}]),
    # secrets in queries
    ("sampling.url", f"http://host/v1?token={PW}"),
    ("sampling.url", f"http://host/v1?a=1&api_key={PW}"),
    ("sampling.url", f"http://host/v1?key={PW}"),
    ("promote.tracking_uri", f"https://host/x?X-Amz-Date=2&X-Amz-Signature={PW}"),
    ("promote.tracking_uri", f"https://host/x?sv=1&sig={PW}"),
    ("promote.tracking_uri", f"postgresql://db/mlflow?user=me&password={PW}"),
    ("promote.tracking_uri", f"https://host/#access_token={PW}"),
    # variables whose names say secret
    *[
        ("cluster.env", [f"{name}={PW}"])
        for name in (
            "MLFLOW_TRACKING_PASSWORD AWS_SECRET_ACCESS_KEY HF_TOKEN OPENAI_API_KEY DB_PASS MYSQL_PWD PGPASSWORD "
            "CLIENT_SECRET SECRET_KEY_BASE GITHUB_PAT SSH_PASSPHRASE api_key Password KEY TOKEN AUTHTOKEN "
            "AZURE_STORAGE_KEY PASSWORD_2 SESSION_COOKIE API_KEY_OPENAI GOOGLE_CREDENTIALS SIGNING_KEY"
        ).split()
    ],
    ("cluster.env", [f"HTTPS_PROXY=http://me:{PW}@proxy:3128"]),
    ("cluster.env", [f"DATABASE_URL=postgres://me:{PW}@db"]),
    ("cluster.env", [f"JAVA_OPTS=-Djavax.net.ssl.trustStorePassword={PW}"]),
    ("cluster.env", [f"CURL_OPTS=-H 'Authorization: Bearer {PW}'"]),
    ("cluster.env", {"DB_PASSWORD": PW}),
    ("cluster.env", [{"name": "DB_PASSWORD", "value": PW}]),
    ("sampling.api_key", PW),
    ("password", PW),
    # the shapes of tokens, wherever they stand
    *[
        (key, token)
        for key in ("title", "sampling.served_model")
        for token in (
            f"sk-proj-Ab{PW[:6]}0123456789abcdefXYZ",
            "sk-ant-api03-AbCdEf0123456789AbCdEf",
            "sk-0123456789abcdef",
            "AKIAIOSFODNN7EXAMPLE",
            "ASIAIOSFODNN7EXAMPLE",
            "hf_AbCdEfGhIjKlMnOpQrStUvWxYz01234567",
            "ghp_AbCdEf0123456789AbCdEf0123456789AbCd",
            "github_pat_11ABCDEFG0AbCdEf0123456789",
            "glpat-AbCdEf0123456789AbCd",
            "xoxb-123456789012-AbCdEf",
            "AIzaSyA0123456789AbCdEf0123456789AbCdEf",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
            "-----BEGIN OPENSSH PRIVATE KEY-----\nabc",
            "sk_live_0123456789abcdef",
        )
    ],
]

TAKEN: list[tuple[str, Any]] = [
    ("promote.tracking_uri", "http://mlflow.mmst:5000"),
    ("promote.tracking_uri", "https://host/users/@me/x"),
    ("promote.tracking_uri", "https://host:8443/x?owner=me@corp.org"),
    ("promote.tracking_uri", "sqlite:////home/me@work/mlflow.db"),
    ("promote.tracking_uri", "http://[::1]:5000/@me"),
    ("promote.tracking_uri", "http://$(MLFLOW_USER):$(MLFLOW_PASSWORD)@mlflow"),
    ("sampling.url", "http://127.0.0.1:8080/openai/v1"),
    ("sampling.url", "http://host/v1?q=a%3Db%26c%3D100%25&to=http%3A%2F%2Fhost%2Fme%40corp.org"),
    ("sampling.url", "http://host/v1?page_token=7&max_tokens=5&tokenizer=fast&keyword=x&sort_key=a&monkey=b"),
    ("out", "s3://bucket/a@b/prefix"),
    ("out", "/data/me@host/runs"),
    ("title", "Sort by key=len, max_tokens=5; mail me@corp.org about my password"),
    ("title", "Basic understanding of algebra, and the bearer of good news"),
    ("model.base", "org/sk-learn-model-large-v2"),
    ("model.base", "/models/hf_transfer/task-sk-7b@main"),
    ("model.trust_remote_code", "ghp_model"),
    ("sampling.served_model", "sk-slovak-7b-instruct"),
    ("sampling.api_key_env", "MY_TOKEN"),
    ("sampling.max_tokens", 96),
    ("cluster.secrets", ["my-secret-token", "aws-password"]),
    ("cluster.pull_secrets", ["regcred"]),
    ("cluster.node_selector", ["token=yes", "example.com/key=gpu"]),
    ("cluster.tolerations", ["key=secret:NoSchedule"]),
    ("cluster.pipeline_image", "registry.example.com:5000/mmst@sha256:" + "a" * 64),
    ("prompt.stop", ["key=", "//", "token: "]),
    *[
        ("cluster.env", [item])
        for item in (
            "TOKENIZERS_PARALLELISM=false",
            "MAX_TOKENS=100",
            "OMP_NUM_THREADS=2",
            "KEYBOARD=de",
            "MONKEY=business",
            "HF_HUB_DISABLE_IMPLICIT_TOKEN=1",
            "ALLOW_EMPTY_PASSWORD=yes",
            "AWS_WEB_IDENTITY_TOKEN_FILE=/var/run/secrets/token",
            "MLFLOW_TRACKING_PASSWORD_FILE=/run/secrets/pw",
            "GOOGLE_APPLICATION_CREDENTIALS=/etc/gcp/key.json",
            "SSL_KEY=/etc/tls/tls.key",
            "EOS_TOKEN=</s>",
            "PAD_TOKEN=endoftext",
            "SORT_KEY=name",
            "PUBLIC_KEY=abcdef",
            "SECRET_NAME=mmst-s3",
            "DB_PASSWORD=$(OTHER)",
            "HF_TOKEN=",
            "AWS_ENDPOINT_URL=http://minio:9000",
            "AWS_ACCESS_KEY_ID=minio",
            "MLFLOW_TRACKING_URI=http://mlflow:5000",
            "MLFLOW_TRACKING_USERNAME=me",
            "PASSWORD_MIN_LENGTH=12",
            "PWD=/app",
        )
    ],
]


def recipe(key: str, value: Any) -> dict[str, Any]:
    data: dict[str, Any] = {}
    at = data
    *parents, last = key.split(".")
    for part in parents:
        at = at.setdefault(part, {})
    at[last] = value
    return data


@pytest.mark.parametrize(("key", "value"), REFUSED, ids=lambda v: str(v)[:40])
def test_a_credential_in_a_recipe_is_refused_with_the_remedy_and_not_shown(key: str, value: Any) -> None:
    with pytest.raises(ConfigError) as found:
        parse(recipe(key, value))
    said = f"{found.value} {found.value!r} {found.value.value!r}"
    assert not [secret for secret in (PW, "0123456789", "EXAMPLE") if secret in said]
    assert " holds " in said
    assert key.split(".")[0] in said
    assert any(word in said for word in ("Secret", "MLFLOW_TRACKING_PASSWORD", "api_key_env", "environment"))


@pytest.mark.parametrize(("key", "value"), TAKEN, ids=lambda v: str(v)[:40])
def test_what_only_looks_like_a_credential_is_taken(key: str, value: Any) -> None:
    assert parse(recipe(key, value))


@pytest.mark.parametrize(
    ("key", "remedy"),
    [
        ("promote.tracking_uri", "MLFLOW_TRACKING_USERNAME"),
        ("sampling.url", "sampling.api_key_env"),
        ("out", "AWS_SECRET_ACCESS_KEY"),
        ("model.base", "Kubernetes Secret"),
    ],
)
def test_the_remedy_is_the_one_for_the_key(key: str, remedy: str) -> None:
    with pytest.raises(ConfigError, match=remedy):
        parse(recipe(key, f"http://me:{PW}@host"))


@pytest.mark.parametrize("item", [f"DB_PASSWORD {PW}", f"DB_PASSWORD: {PW}", f"={PW}"])
def test_of_a_variable_without_equals_sign_the_value_is_not_shown(item: str) -> None:
    with pytest.raises(ConfigError) as found:
        parse({"cluster": {"env": [item]}})
    assert PW not in str(found.value)


SHOWN = [
    f"HTTPConnectionPool(host='h', port=1): Max retries exceeded with url: http://me:{PW}@h/x",
    f'Could not connect to the endpoint URL: "https://me:{PW}@s3.example.com/bucket?list"',
    f"Invalid URL 'http://me:{PW}@h:port'",
    f"GET /x?token={PW} HTTP/1.1",
    f"X-Amz-Signature: see ?X-Amz-Signature={PW}&X-Amz-Date=1",
    f"(psycopg2.OperationalError) connection to postgresql://me:{PW}@db failed",
    f"Authorization: Basic {PW}",
    f"{{'Authorization': 'Bearer {PW}'}}",
    f"env DB_PASSWORD={PW} was given",
    f'{{"client_secret": "{PW}"}}',
    f"a line\nhttps://{PW}@host\nanother",
    f"mysql://me:{PW}@a and http://b and https://me:{PW}@c",
    f"https://me:{PW}/with#odd?signs@host/path",
    f"http://me:a@{PW}@host",
    f"mssql+pyodbc:///?odbc_connect=Driver%3Dx%3BPWD%3D{PW} failed",
    f"PWD={PW} and PWD=/work",
]


@pytest.mark.parametrize("text", SHOWN)
def test_a_text_is_shown_without_its_credentials(text: str) -> None:
    assert PW not in redacted(text)
    assert redaction.HIDDEN in redacted(text)


@pytest.mark.parametrize("text", SHOWN)
@pytest.mark.parametrize(
    "error", [MmstError, StoreError, ClusterError, ConfigError, lambda t: SetupError("x", why=t, remedy=t)]
)
def test_no_error_says_a_credential(error: Callable[[str], Exception], text: str) -> None:
    raised = error(text)
    assert PW not in f"{raised} {raised!r}"


def test_a_value_is_hidden_before_it_is_cut() -> None:
    address = f"http://user:{PW}{'x' * 200}@host"
    assert PW not in str(ConfigError("wrong", value=address))
    assert PW not in openai_answers.words(address, 40)
    assert PW not in mlflow_calls._line(ValueError(f"{'x' * 480} {address}"))


@pytest.mark.parametrize(
    "text",
    [
        "https://host/users/@me", "sorted(a, key=len)", "x = 7 // y @ z", "token = tokens[0]", "mail me@corp.org",
        "sampling.max_tokens=96", "s3://bucket/a@b", "sqlite:////a@b/c", "see https://a.org/b?page=2&q=x#part",
        "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN", "ratio 3:4@5",
        "docker.io/a/b@sha256:abc", "git@github.com:a/b", "export KEY=…, and --set sampling.api_key_env=KEY",
    ],
)  # fmt: skip
def test_other_text_is_shown_as_it_is(text: str) -> None:
    assert redacted(text) == text


@given(st.text(max_size=200))
def test_hiding_twice_is_hiding_once(text: str) -> None:
    once = redacted(text)
    assert redacted(once) == once


@given(
    st.sampled_from(["http", "https", "postgresql", "s3", "mysql+pymysql"]),
    st.text(alphabet="abcXYZ0189.-_~!$&()*+,;:%[]@/?#'", min_size=1, max_size=20),
)
def test_no_password_of_an_address_survives(scheme: str, middle: str) -> None:
    secret = f"Qq7{middle}Zz9"
    assert "Qq7" not in redacted(f"at {scheme}://me:{secret}@host.example.com:80 now")


def test_what_the_environment_gave_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:p%40ss%20word@mlflow")
    monkeypatch.setenv("SOME_TOKEN", "plain words of mine")
    monkeypatch.setenv("SHORT_KEY", "a")
    said = redacted("nonnumeric port: 'p%40ss%20word@mlflow'; 'p@ss word'; plain words of mine; a b")
    assert said == "nonnumeric port: '***@mlflow'; '***'; ***; a b"


def test_a_key_whose_variable_has_any_name_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_given", set())
    redaction.remember("zz-plain")
    assert redacted("Incorrect API key provided: zz-plain.") == "Incorrect API key provided: ***."


@pytest.mark.parametrize(
    ("url", "clean", "user"),
    [
        ("http://host/x", "http://host/x", ""),
        ("http://me:pw@host:1/x", "http://host:1/x", "bWU6cHc="),
        ("http://me@host", "http://host", "bWU6"),
        ("http://me:p%40s@host", "http://host", "bWU6cEBz"),
    ],
)
def test_clients_that_read_no_user_information_get_a_header(url: str, clean: str, user: str) -> None:
    assert without_user(url) == (clean, {"Authorization": f"Basic {user}"} if user else {})


def test_findings_records_tags_and_logs_hold_none() -> None:
    text = f"https://me:{PW}@host/x"
    finding = Diagnostic(what="MLflow", ok=False, found=text, why=text, remedy=text)
    record = logging.LogRecord("mmst.x", logging.INFO, "", 1, "at %s", (text,), None)
    record.why = text
    said = [str(finding), JsonLines({}).format(record), mlflow._short(text, 100)]
    said += [openai_answers.words(text), openai_answers.message(json.dumps({"error": text}).encode())]
    assert not [s for s in said if PW in s or redaction.HIDDEN not in s]


def test_a_retry_is_logged_without_its_address(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "mmst.core.metrics")
    metrics.retry("s3", f"https://me:{PW}@host")
    assert PW not in str([vars(r) for r in caplog.records])


def test_a_recipe_from_before_is_read_without_its_credentials() -> None:
    old = json.loads(to_text(parse({"cluster": {"env": ["A=b"]}})))
    old["promote"]["tracking_uri"] = f"http://me:{PW}@mlflow"
    old["cluster"]["env"] = [f"DB_PASSWORD={PW}", "A=b"]
    text = redaction.redacted_json(json.dumps(old))
    assert PW not in text
    assert parse(json.loads(text)).cluster.env == ("DB_PASSWORD=***", "A=b")


@pytest.mark.parametrize(("name", "value", "said"), [
    ("TOKEN", "1", False), ("TOKEN", "12345678", True), ("PASSWORD", "1234", True), ("KEY", "true", False),
    ("PASSWORD", "", False), ("SECRET", "${X}", False), ("KEY", "'quoted'", True),
])  # fmt: skip
def test_a_name_says_secret_as_its_value_allows(name: str, value: str, said: bool) -> None:
    assert says_secret(name, value) is said


def test_a_recorded_recipe_with_half_a_sign_in_its_title_is_read(tmp_path: Path) -> None:
    store, config = FolderStore(tmp_path), parse({"title": "half \ud800 and \udb40\udc41"})
    summary.record_config(store, config)
    assert summary.recorded_config(store, run_id(config)) == config
