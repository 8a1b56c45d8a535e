"""The graph as a file: the same bytes for the same recipe and code, so that its name can be its content's hash.

kfp numbers like tasks in the order in which protobuf's maps give them, and that order is chance
in protobuf's C code but not in its Python code. The choice is made when protobuf is loaded, so the
compiler has a process of its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from mmst.core.config import Config, from_text, to_text
from mmst.core.errors import ConfigError, MmstError, SetupError
from mmst.core.extras import named
from mmst.core.output import Output, find

VERSION_CHARACTERS = 12


def compile_to(path: Path | Output, config: Config, *, namespace: str = "") -> str:
    """Write the pipeline and return its version: the hash of its content.

    Without `namespace` the file is IR YAML, as Kubeflow Pipelines takes it. With one it holds the
    Pipeline and PipelineVersion objects for a Kubeflow Pipelines that keeps them in Kubernetes
    (`--pipelinesStoreKubernetes=true`); a version never changes there, so it is named after its content.
    """
    place = find(path)
    with place.writing() as out, tempfile.TemporaryDirectory(prefix="mmst-") as folder:
        made = Path(folder) / "pipeline.yaml"
        _compile(made, config)
        version = hashlib.sha256(made.read_bytes()).hexdigest()[:VERSION_CHARACTERS]
        if namespace:
            _compile(made, config, version, namespace)
        out.write(made.read_bytes())
    return version


def _compile(path: Path, config: Config, *manifest: str) -> None:
    environment = os.environ | {"PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python", "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-m", __name__, str(path), *manifest]
    done = subprocess.run(command, input=to_text(config), capture_output=True, text=True, env=environment)
    if done.returncode == SetupError.exit_code:
        raise MmstError.from_data(json.loads(path.read_bytes()))
    if done.returncode:
        *_, said = done.stderr.strip().splitlines() or ["it said nothing"]
        raise ConfigError(f"kfp cannot compile this recipe ({said})", remedy="correct its section `cluster`")


def main(file: str, version: str = "", namespace: str = "") -> None:
    """The process of its own: reads the config from standard input."""
    from kfp import compiler
    from kfp.compiler.compiler_utils import KubernetesManifestOptions

    from mmst.pipelines.graph import build, pipeline_name

    config = from_text(sys.stdin.read())
    name = pipeline_name(config)
    options = KubernetesManifestOptions(
        pipeline_name=name,
        pipeline_display_name=config.title or name,
        pipeline_version_name=f"{name}-{version}",
        pipeline_version_display_name=version,
        namespace=namespace,
        include_pipeline_manifest=True,
    )
    compiler.Compiler().compile(
        build(config),
        file,
        kubernetes_manifest_format=bool(version),
        kubernetes_manifest_options=options if version else None,
    )


if __name__ == "__main__":
    try:
        with named():
            main(*sys.argv[1:])
    except SetupError as e:
        Path(sys.argv[1]).write_text(json.dumps(e.to_data()), encoding="utf-8")
        sys.exit(e.exit_code)
