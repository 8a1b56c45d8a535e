"""Addresses: what is none, and what nobody here speaks, is refused when it is read."""

import pytest

from mmst.core import addresses
from mmst.core.config import parse
from mmst.core.errors import ConfigError


@pytest.mark.parametrize(
    "uri",
    [
        "mmst-out",
        "/data/runs",
        "file:///data/runs",
        "s3://bucket",
        "s3://my.bucket-1/a/b",
        "s3://b/x",
        "a:b",
        "C:folder",
        "",
    ],
)
def test_a_folder_or_bucket_is_a_store(uri: str) -> None:
    addresses.store(uri)


@pytest.mark.parametrize(
    "uri", ["gs://b/x", "s3://", "s3:///x", "s3:/b/x", "S3://b", "s3://a b/x", "http://x/y", "hdfs://x"]
)
def test_another_address_is_no_store(uri: str) -> None:
    with pytest.raises(ConfigError, match="out must be a folder or s3://bucket/prefix"):
        parse({"out": uri})


@pytest.mark.parametrize("url", ["http://x", "https://x:8080/openai/v1", "http://[::1]:80", "http://10.0.0.1/"])
def test_a_server_has_an_address(url: str) -> None:
    addresses.web(url, "sampling.url", "http://x")


@pytest.mark.parametrize(
    "url", ["localhost:8080", "x", "ftp://x/y", "http://", "http:///v1", "http://[::1", "http://x:99999", "http://a b"]
)
def test_what_is_no_address_of_a_server_is_refused(url: str) -> None:
    for data in (
        {"sampling": {"backend": "openai", "url": url}},
        {"teachers": {"t": {"backend": "openai", "url": url}}},
    ):
        with pytest.raises(ConfigError, match=r"\.url must be the address of an HTTP server"):
            parse(data)


@pytest.mark.parametrize(
    "uri", ["", "http://mlflow:5000", "sqlite:///x.db", "postgresql+psycopg://h/d", "file:///x", "runs"]
)
def test_mlflow_writes_to_a_server_a_database_or_a_folder(uri: str) -> None:
    assert parse({"promote": {"tracking_uri": uri}}).promote.tracking_uri == uri


@pytest.mark.parametrize("uri", ["localhost:5000", "foo://bar", "http://", "http://[::1", "s3://bucket/x"])
def test_mlflow_writes_nowhere_else(uri: str) -> None:
    with pytest.raises(ConfigError, match=r"promote\.tracking_uri must be the address"):
        parse({"promote": {"tracking_uri": uri}})
