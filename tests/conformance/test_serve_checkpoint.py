"""`mmst serve --store`: a checkpoint out of a real S3 server, and what is refused before anything listens."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("kserve")

from mmst.core.config import parse
from mmst.core.errors import SamplerError, StoreError
from mmst.core.hashes import digest_of, file_entries
from mmst.core.manifest import Manifest, Place
from mmst.core.ports import Store
from mmst.core.stage_folder import StageFolder
from mmst.core.weights import checkpoint_folder
from mmst.inference.providers.openai import OpenAIServer
from mmst.stages.base_model import BaseModel
from mmst.wiring import connect, open_store
from tests.support.s3_server import CREDENTIALS, s3_server
from tests.support.serving import Served, request_of, wait_ready


def stored(store: Store, folder: Path) -> Manifest:
    """The folder as a complete checkpoint of a store."""
    stage = StageFolder.open(store, "train", version=1, config={}, inputs={})
    entries = file_entries(folder)
    for entry in entries:
        stage.put_file(entry.name, folder / entry.name)
    return stage.finish(files=entries)


def serve(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mmst.cli.app", "serve", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)


@pytest.mark.server
def test_a_checkpoint_from_s3_is_served_by_its_digest_until_sigterm(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with s3_server() as url:
        for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": url, "XDG_CACHE_HOME": str(tmp_path)}.items():
            monkeypatch.setenv(name, value)
        pytest.importorskip("boto3").client("s3").create_bucket(Bucket="mmst")
        manifest = stored(open_store("s3://mmst/run"), model_folder)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        command = [
            sys.executable,
            "-m",
            "mmst.cli.app",
            "serve",
            "--store",
            "s3://mmst/run",
            "--checkpoint",
            manifest.ref,
        ]
        command += ["--cache", str(tmp_path / "cache"), "--port", str(port), "--name", "m"]
        log = tmp_path / "log"
        with (
            log.open("wb") as out,
            subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ, "OMP_NUM_THREADS": "1"}) as process,
        ):
            try:
                wait_ready(process, f"http://127.0.0.1:{port}/v2/health/ready", log)
                address = f"http://127.0.0.1:{port}/openai/v1"
                assert httpx.get(f"{address}/models").json()["data"][0]["checkpoint"] == manifest.digest
                here = Served(process, address, model_folder)
                settings: dict[str, Any] = {"concurrency": 4, "deadline": 100.0}
                with OpenAIServer(address, "m", checkpoint=manifest.digest, **settings) as server:
                    assert server.sample([request_of(1)]) == here.in_process([request_of(1)])
                    assert server.stated()["fingerprint"] == manifest.digest
                with (
                    pytest.raises(SamplerError, match="another checkpoint"),
                    OpenAIServer(address, "m", checkpoint="sha256:other", **settings),
                ):
                    pass
                process.send_signal(signal.SIGTERM)
                assert process.wait(60) == 0
            finally:
                process.kill()


def test_a_folder_is_served_with_the_digest_that_a_store_s_base_model_of_these_files_has(
    served: Served, tmp_path: Path
) -> None:
    config = parse({"out": str(tmp_path), "model": {"base": str(served.folder)}})
    base = BaseModel().run(connect(config), Place(run="r", round=0, arm="base", step="base"), {})
    files = digest_of(base.files)
    with OpenAIServer(served.url, "", concurrency=1, deadline=9.0, checkpoint=base.digest, files=files) as server:
        assert server.stated()["checkpoint"] == files
    with (
        pytest.raises(SamplerError, match=r"another checkpoint.*Remedy"),
        OpenAIServer(served.url, "", concurrency=1, deadline=9.0, checkpoint=base.digest, files="sha256:other"),
    ):
        pass


def test_a_checkpoint_whose_file_is_another_than_its_manifest_states_is_not_served(
    model_folder: Path, tmp_path: Path
) -> None:
    store = open_store(str(tmp_path / "store"))
    manifest = stored(store, model_folder)
    store.write(f"{manifest.ref}/config.json", b"{}")
    with pytest.raises(StoreError, match=r"config\.json"):
        checkpoint_folder(store, manifest, tmp_path / "cache" / manifest.key)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--store", "STORE", "--checkpoint", "stages/train/0000"), "no complete stage 'stages/train/0000'"),
        (("--store", "STORE"), "--store with --checkpoint"),
        (("mmst:tiny", "--store", "STORE", "--checkpoint", "x"), "--store with --checkpoint"),
        (("mmst:tiny", "--dtype", "int4"), "--dtype"),
    ],
)
def test_what_cannot_be_served_is_named_and_ends_with_exit_code_2(
    arguments: tuple[str, ...], named: str, tmp_path: Path
) -> None:
    done = serve(*(str(tmp_path) if a == "STORE" else a for a in arguments))
    assert done.returncode == 2
    assert named in done.stderr
