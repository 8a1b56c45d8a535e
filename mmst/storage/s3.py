"""The store as a prefix of an S3 bucket: AWS, or any server with conditional writes.

Credentials, region and address come from boto3's usual places (`AWS_PROFILE`,
`AWS_ENDPOINT_URL`, a pod's role …). An object appears when its upload is complete, so readers never see half of
one. The parts of a killed upload are invisible but billed: give the bucket a lifecycle rule that aborts incomplete
multipart uploads.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError, NoCredentialsError, PartialCredentialsError

from mmst.core import disk, private
from mmst.core.errors import ConfigError, MmstError, StoreError
from mmst.core.names import checked_name, checked_prefix
from mmst.storage.s3_patience import TROUBLE, Exhausted, Patience, code

T = TypeVar("T")

_CLIENT = Config(
    # Patience of our own: botocore's ends after so many tries, however short the trouble.
    retries={"mode": "standard", "total_max_attempts": 1},
    connect_timeout=3,
    read_timeout=60,
    # The checksums that newer clients add to every request are refused by older servers; the
    # manifests hold the hash of every file anyway.
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
)
_MOVER = _CLIENT.merge(Config(retries={"mode": "standard", "total_max_attempts": 8}))
"""Of a large file's parts, only the failed one is sent again."""
_TRANSFER = TransferConfig(multipart_threshold=64 << 20, multipart_chunksize=64 << 20, max_concurrency=4)
_DELETED_AT_ONCE = 10
"""As many connections as botocore keeps open."""
_WRITER = "mmst-writer"
_ABSENT = {"NoSuchKey", "404", "NotFound"}
_REFUSED = {"PreconditionFailed", "412"}
_RIGHTS = "the credentials need s3:GetObject, PutObject and ListBucket on this bucket, DeleteObject for `mmst clean`"
_REMEDIES = {
    "NoSuchBucket": "create the bucket, or correct --out",
    "AccessDenied": _RIGHTS,
    "403": _RIGHTS,
    "InvalidAccessKeyId": "check AWS_ACCESS_KEY_ID and AWS_ENDPOINT_URL",
    "SignatureDoesNotMatch": "check AWS_SECRET_ACCESS_KEY",
    "ExpiredToken": "log in again; the same command then continues",
    "NotImplemented": "this server does not know conditional writes (If-Match, If-None-Match); use one that does",
}


class S3Store:
    """Fulfils `ports.Store` with the objects below `s3://bucket/prefix`."""

    def __init__(self, uri: str, client: Any = None) -> None:
        self.bucket, _, prefix = uri.removeprefix("s3://").rstrip("/").partition("/")
        if not uri.startswith("s3://") or not self.bucket:
            raise ConfigError("this is not the address of a bucket", value=uri, remedy="--out s3://bucket/prefix")
        self.prefix = f"{prefix}/" if prefix else ""
        self.uri = f"s3://{self.bucket}/{prefix}".rstrip("/")
        self._given = client
        self._patience = Patience()
        self.client = client or self._client(_CLIENT)

    def _client(self, config: Config) -> Any:
        with self._trouble("open", ""):
            try:
                return boto3.Session().client("s3", config=config)
            except ValueError as e:  # of the address, or of a file with settings
                remedy = "check AWS_ENDPOINT_URL (http://host:port), AWS_DEFAULT_REGION and AWS_CONFIG_FILE"
                raise StoreError(f"cannot open {self.uri}: {e}", remedy=remedy) from e

    @cached_property
    def _mover(self) -> Any:
        return self._given or self._client(_MOVER)

    def read(self, name: str) -> bytes | None:
        """The content, or None if the name does not exist."""
        found = self._get(name)
        return found and found[0]

    def write(self, name: str, data: bytes) -> None:
        """Write or overwrite."""
        key = self._key(name)
        self._ask("write", name, lambda: self._put(key, data))

    def create(self, name: str, data: bytes) -> bool:
        """Write only if absent, atomically among processes; False if the name exists."""
        return self._put_if(name, data, {"IfNoneMatch": "*"})

    def replace(self, name: str, data: bytes, expected: bytes | None) -> bool:
        """Compare-and-set: write only while the content is `expected` (None: absent)."""
        if expected is None:
            return self.create(name, data)
        found = self._get(name)
        return found is not None and found[0] == expected and self._put_if(name, data, {"IfMatch": found[1]})

    def names(self, prefix: str) -> Iterator[str]:
        """All names that start with `prefix`, in the order of their UTF-8 bytes; paged."""
        return (name for name, _ in self.sizes(prefix))

    def sizes(self, prefix: str) -> Iterator[tuple[str, int]]:
        """The same names in the same order, each with its bytes."""
        checked_prefix(prefix)
        where, following = {"Bucket": self.bucket, "Prefix": self.prefix + prefix}, dict[str, str]()
        while True:
            page = self._ask("list", prefix, lambda at=following: self.client.list_objects_v2(**where, **at))  # type: ignore[misc]
            for item in page.get("Contents", ()):
                if not item["Key"].endswith("/"):
                    yield item["Key"].removeprefix(self.prefix), int(item["Size"])
            if not page.get("IsTruncated"):
                return
            following = {"ContinuationToken": page["NextContinuationToken"]}

    def delete(self, names: Iterable[str]) -> None:
        """Remove these; one that is not there is no error.

        One request each, some at a time: for several in one, servers ask for different checksums.
        """

        def delete(name: str) -> None:
            key = self._key(name)
            self._ask("delete", name, lambda: self.client.delete_object(Bucket=self.bucket, Key=key))

        with ThreadPoolExecutor(_DELETED_AT_ONCE) as pool:
            for _ in pool.map(delete, names):
                pass

    def put_file(self, name: str, path: Path) -> None:
        """Store a local file of any size, streamed in parts."""
        key = self._key(name)
        with disk.trouble(f"write {self.uri}/{name} from", path), path.open("rb"):
            pass
        self._ask("write", name, lambda: self._mover.upload_file(str(path), self.bucket, key, Config=_TRANSFER))

    def get_file(self, name: str, path: Path) -> None:
        """Fetch into a local file, streamed and atomic. Missing: `StoreError`."""
        key = self._key(name)
        aside = path.parent / f".tmp-{uuid.uuid4().hex}"
        with self._scratch_trouble(name, path.parent):
            private.folder(path.parent)
            try:
                self._ask(
                    "read", name, lambda: self._mover.download_file(self.bucket, key, str(aside), Config=_TRANSFER)
                )
                aside.replace(path)
            finally:
                aside.unlink(missing_ok=True)

    def folder(self, prefix: str) -> None:
        """None: a bucket is not a local folder."""
        checked_prefix(prefix)

    def probe(self) -> None:
        """Prove that it is writable, also with conditions, and leave nothing behind.

        A server without conditional writes accepts the second write too; then two runs could both become champion.
        Runs never delete, only `mmst clean` does, so a missing permission to delete is not an error.
        """
        name = f"probe-{uuid.uuid4().hex}"
        try:
            if not self.create(name, b"") or self.create(name, b""):
                raise StoreError(f"{self.uri} ignores If-None-Match", remedy=_REMEDIES["NotImplemented"])
        finally:
            with contextlib.suppress(StoreError), self._trouble("delete", name):
                self.client.delete_object(Bucket=self.bucket, Key=self._key(name))

    def scratch(self, prefix: str) -> Path:
        """`<base>/<hash of the store's address>/<prefix>`, created if need be.

        The base is `$MMST_SCRATCH` (in a cluster, the volume that stages and training share), else
        `$XDG_CACHE_HOME/mmst`.
        """
        base = Path(os.environ.get("MMST_SCRATCH") or private.cache_path())
        path = base / hashlib.sha256(self.uri.encode()).hexdigest()[:16] / checked_prefix(prefix)
        with self._scratch_trouble(prefix, path):
            private.folder(path)
        return path

    def _key(self, name: str) -> str:
        return self.prefix + checked_name(name)

    def _ask(self, doing: str, name: str, ask: Callable[[], T]) -> T:
        with self._trouble(doing, name):
            return self._patience(ask)

    def _put(self, key: str, data: bytes, **further: Any) -> None:
        # Every server compares this hash with what arrives; it knows nothing newer for certain.
        md5 = base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
        self.client.put_object(Bucket=self.bucket, Key=key, Body=data, ContentMD5=md5, **further)

    def _get(self, name: str) -> tuple[bytes, str] | None:
        """Content and ETag."""
        key = self._key(name)

        def get() -> tuple[bytes, str] | None:
            try:
                found = self.client.get_object(Bucket=self.bucket, Key=key)
                return found["Body"].read(), found["ETag"]
            except ClientError as e:
                if code(e) in _ABSENT:
                    return None
                raise

        return self._ask("read", name, get)

    def _put_if(self, name: str, data: bytes, condition: dict[str, Any]) -> bool:
        """A conditional write; False if the condition does not hold.

        A retry after a lost reply finds our own object, recognised by its writer's token.
        """
        key, token = self._key(name), uuid.uuid4().hex

        def put() -> bool:
            try:
                self._put(key, data, Metadata={_WRITER: token}, **condition)
                return True
            except ClientError as e:
                if code(e) in _REFUSED:
                    return self._writer(key) == token
                if code(e) in _ABSENT:
                    return False
                raise

        return self._ask("write", name, put)

    def _writer(self, key: str) -> str:
        try:
            return str(self.client.head_object(Bucket=self.bucket, Key=key)["Metadata"].get(_WRITER, ""))
        except ClientError as e:
            if code(e) in _ABSENT:
                return ""
            raise

    @contextlib.contextmanager
    def _scratch_trouble(self, name: str, folder: Path) -> Iterator[None]:
        """Turn errors of the local folder for a name into `StoreError`."""
        try:
            yield
        except OSError as e:
            where = (
                "free space there, or set MMST_SCRATCH (or XDG_CACHE_HOME) to a folder with space that can be written"
            )
            raise StoreError(f"cannot keep {self.uri}/{name} in {folder}: {e.strerror or e}", remedy=where) from e

    @contextlib.contextmanager
    def _trouble(self, doing: str, name: str) -> Iterator[None]:
        """Turn errors of boto3 into `StoreError` with a remedy."""
        try:
            yield
        except MmstError:
            raise
        except (NoCredentialsError, PartialCredentialsError) as e:
            remedy = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
            raise StoreError(f"cannot {doing} {self.uri}/{name}: {e}", remedy=remedy) from e
        except (*TROUBLE, Exhausted) as e:
            said = e.__cause__ if isinstance(e, Exhausted) and isinstance(e.__cause__, Exception) else e
            known = _REMEDIES.get(code(said), "")
            if not isinstance(said, ClientError):
                known = next((r for c, r in _REMEDIES.items() if c in str(said)), "")
            network = "check AWS_ENDPOINT_URL and the network; the same command then continues"
            remedy = known or ("" if e is said and isinstance(said, ClientError) else network)
            raise StoreError(f"cannot {doing} {self.uri}/{name}: {e}", remedy=remedy) from e
