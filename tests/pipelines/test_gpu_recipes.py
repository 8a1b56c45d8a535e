"""The recipes for GPUs, end to end, with a tiny model of the same architecture in place of the checkpoint.

Real here: the recipe but for `overridden`, the graph and its stages, few-shot prompts, a model server of our own asked
over the OpenAI protocol, gVisor, the training processes under DeepSpeed ZeRO-3 in bfloat16 with gradient
checkpointing, the export, the evaluation of what came out, the decision.

Not real: the weights. A random model solves nothing, and then nothing would be translated or trained on; so the tiny
one is first taught the few problems by heart, with their translations. What it "solves" says nothing about any
model. Nor are there GPUs, a cluster, S3 or vLLM, and the trained checkpoint is sampled in process, since one server
serves one checkpoint.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from mmst import recipes
from mmst.core.config import Config, run_id
from mmst.core.manifest import Manifest
from mmst.core.records import Example
from mmst.core.results import Trained
from mmst.core.stored import load as load_manifest
from mmst.core.stored import pointers
from mmst.core.weights import checkpoint_folder
from mmst.datasets import load
from mmst.inference.providers.kserve_objects import sampling_service
from mmst.pipelines import local
from mmst.pipelines.compile import compile_to
from mmst.preflight.recipe import for_cluster
from mmst.stages.build_trainset import annotated_examples
from mmst.storage.folder import FolderStore
from mmst.training.data import TokenizedExample, encode
from mmst.training.loss import pad
from mmst.training.providers.kubernetes_job_objects import job
from tests.support.serving import serving

NAMES = ("gsm8k-7b", "paper-176b")
TRAIN = [
    ("Ann has 3 apples and buys 4 more. How many apples has she now?", "She has <<3+4=7>>7 apples.\n#### 7"),
    ("A box holds 6 pens. How many pens do 5 boxes hold?", "They hold <<6*5=30>>30 pens.\n#### 30"),
    ("Tom reads 9 pages on Monday and 8 on Friday. How many in all?", "He reads <<9+8=17>>17 pages.\n#### 17"),
    ("Of 20 birds on a roof 12 fly away. How many stay there?", "There stay <<20-12=8>>8 birds.\n#### 8"),
]
TEST = [
    ("Mia walks 2 km to school and the same way back. How far is that?", "She walks <<2*2=4>>4 km.\n#### 4"),
    ("Ben spends 5 of his 11 dollars. What is left to him?", "He has <<11-5=6>>6 dollars.\n#### 6"),
]
RELATED = [{"ID": "1", "Body": "Jo keeps 8 hens.", "Question": "After 3 are sold, how many hens are there?",
            "Equation": "( 8 - 3 )", "Answer": 5, "Type": "Subtraction"}]  # fmt: skip
SEEDS = [
    ("A shop sells 5 lamps a day. How many does it sell in 3 days?", "It sells <<5*3=15>>15 lamps.\n#### 15"),
    ("A shop sells 17 lamps a day. How many does it sell in 3 days?", "It sells <<17*3=51>>51 lamps.\n#### 51"),
]

REWORDED = {"text": ("The answer", "So the answer"), "code": ("print (", "print ( +")}
"""A translation says the same in another way than the model's own solution: else it would be a duplicate of that."""


def overridden(out: Path, model: Path, url: str = "") -> dict[str, Any]:
    """What is not the recipe's own: where things are, and sizes."""
    return {
        "out": out,
        "model.base": model,
        "sampling.backend": "openai",
        "sampling.url": url or "http://127.0.0.1:9",
        "sampling.k": 2,
        "sampling.max_tokens": 48,
        "evaluate.k": 0,
        "check.sandbox": "gvisor",
        "train.launcher": "local",
        "train.ranks": 2,
        "train.steps": 3,
        "train.batch_tokens": 1024,
        "train.checkpoint_every": 2,
        "loop.rounds": 1,
        "loop.controls": "[]",
        "loop.min_new": 1,
    }


def loaded(name: str, **settings: Any) -> Config:
    return recipes.load(name, [f"{key}={value}" for key, value in overridden(**settings).items()])


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of problem files in the published forms."""
    folder = tmp_path / "data"
    for name, rows in (("train", TRAIN + SEEDS), ("test", TEST)):
        lines = [json.dumps({"question": question, "answer": answer}) for question, answer in rows]
        (folder / "gsm8k").mkdir(parents=True, exist_ok=True)
        (folder / f"gsm8k/{name}.jsonl").write_text("\n".join(lines))
    (folder / "svamp").mkdir()
    (folder / "svamp/SVAMP.json").write_text(json.dumps(RELATED))
    monkeypatch.setenv("MMST_DATA", str(folder))
    return folder


def by_heart(folder: Path, architecture: str, config: Config) -> list[Example]:
    """Save a tiny model that knows the training problems' solutions and translations, under the recipe's prompts."""
    import torch
    from tokenizers import ByteLevelBPETokenizer
    from transformers import (
        AutoTokenizer,
        BloomConfig,
        BloomForCausalLM,
        PreTrainedTokenizerFast,
        Qwen2Config,
        Qwen2ForCausalLM,
    )

    annotated = [p for source in config.problems.train for p in load(source)]
    examples = [
        replace(e, completion=e.completion.replace(*REWORDED[e.method])) if e.origin == "pair" else e
        for problem in annotated
        for e in annotated_examples(problem, config.methods, config.prompt)
    ]
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator([e.prompt + e.completion for e in examples], 600, special_tokens=["<pad>", "<s>", "</s>"])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe._tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    )
    ids = {"vocab_size": len(tokenizer), "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    torch.manual_seed(0)
    model: Any
    if architecture == "bloom":
        model = BloomForCausalLM(BloomConfig(hidden_size=64, n_layer=2, n_head=4, **ids))
    else:
        shape = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "max_position_embeddings": 2048}
        model = Qwen2ForCausalLM(Qwen2Config(**shape, num_attention_heads=4, num_key_value_heads=2, **ids))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    # As it will be loaded: beside a Qwen2 model transformers splits text in Qwen2's own way.
    learn(model, encode(AutoTokenizer.from_pretrained(folder), examples))
    model.save_pretrained(folder)
    return examples


def learn(model: Any, rows: Sequence[TokenizedExample]) -> None:
    """Until each token of the completions has a probability above 0.9."""
    import torch

    ids, mask = pad(rows, torch.device("cpu"))
    wanted, rate = mask[:, 1:], 5e-3
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
    for step in range(400):
        optimizer.param_groups[0]["lr"] = rate * min(1, (step + 1) / 20)
        logits = model(input_ids=ids, use_cache=False).logits[:, :-1]
        losses = torch.nn.functional.cross_entropy(logits[wanted], ids[:, 1:][wanted], reduction="none")
        if losses.max().item() < 0.1:
            return
        losses.mean().backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    raise AssertionError(f"the tiny model did not learn the problems: worst loss {losses.max().item():.2f}")


@contextlib.contextmanager
def unseen(events: Path) -> Iterator[None]:
    yield


def manifests(config: Config) -> dict[str, Manifest]:
    store = FolderStore(Path(config.out))
    return {f"{p.round}.{p.arm}.{p.step}": load_manifest(store, ref) for p, ref, _ in pointers(store, run_id(config))}


def answered(url: str) -> int:
    """How many completion requests the server has answered."""
    text = httpx.get(url.replace("/openai/v1", "/metrics"), timeout=20).text
    found = re.search(r'^mmst_completion_requests_total{status="200"} (\S+)$', text, re.MULTILINE)
    return int(float(found[1])) if found else 0


@pytest.mark.gvisor
@pytest.mark.server
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("data")
@pytest.mark.parametrize(("name", "architecture"), zip(NAMES, ("qwen2", "bloom"), strict=True))
def test_the_recipe_goes_from_problems_to_a_decision(name: str, architecture: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    by_heart(folder, architecture, loaded(name, out=tmp_path / "out", model=folder))
    with serving(folder) as served:
        config = loaded(name, out=tmp_path / "out", model=folder, url=served.url)
        local.run(config, tmp_path / "log", unseen)
        asked = answered(served.url)
    made = manifests(config)

    problems, drawn, rewritten = (
        made[f"{step}"].counts for step in ("0.base.prepare", "1.mmst.sample", "1.mmst.translate")
    )
    assert (problems["train"], problems["heldout"], problems["related"], problems["annotated"]) == (4, 3, 1, 2)
    assert drawn["samples"] == 4 * len(config.methods) * config.sampling.k
    assert asked == (3 + 4) * len(config.methods) + rewritten["sources"]  # every request went to the server

    chosen = made["1.mmst.build_trainset"].counts
    assert min(chosen[f"new.{method}.{origin}"] for method in config.methods for origin in ("own", "translation")) > 0
    assert chosen["annotated"] > 0
    trained = made["1.mmst.train"]
    assert trained.result(Trained).steps == config.train.steps
    weights = [e.sha256 for m in (made["0.base.base_model"], trained) for e in m.files if e.name == "model.safetensors"]
    assert len(set(weights)) == 2
    exported = checkpoint_folder(FolderStore(Path(config.out)), trained)
    assert json.loads((exported / "config.json").read_text())["model_type"] == architecture

    report = made["1.mmst.evaluate"].facts["report"]
    assert {(s["task"], s["n"]) for s in report["scores"]} == {("main", 2), ("related", 1)}
    assert made["1.mmst.promote"].facts["decision"]["reason"]


@pytest.mark.parametrize("name", NAMES)
def test_the_recipe_as_it_is_can_be_submitted_to_a_cluster_with_a_tracking_server(name: str, tmp_path: Path) -> None:
    config = recipes.load(name, ["promote.tracking_uri=http://mlflow:5000"])
    for_cluster(config)
    assert compile_to(tmp_path / "pipeline.yaml", config)


@pytest.mark.parametrize(("name", "pods", "gpus"), [("gsm8k-7b", 1, 8), ("paper-176b", 8, 64)])
def test_every_training_process_has_a_gpu(name: str, pods: int, gpus: int) -> None:
    config = recipes.load(name)
    spec = job(config.train.launcher, "train", "/mnt/mmst/spec.json", config.cluster, config.train.ranks, "run")["spec"]
    replicas = spec["pytorchReplicaSpecs"].values()
    asked = [(r["replicas"], r["template"]["spec"]["containers"][0]["resources"]["limits"]) for r in replicas]
    assert sum(n for n, _ in asked) == pods
    assert sum(n * int(limits["nvidia.com/gpu"]) for n, limits in asked) == gpus == config.train.ranks
    assert pods * int(spec["nprocPerNode"]) == gpus


@pytest.mark.parametrize("name", NAMES)
def test_the_base_model_on_the_shared_volume_is_served_over_all_gpus_of_its_server(name: str) -> None:
    config = recipes.load(name)
    base = Manifest(stage="base", key="3fa9", inputs={}, files=(), location=config.model.base)
    predictor = sampling_service(base, store=config.out, dtype=config.model.dtype, cluster=config.cluster, run="run")[
        "spec"
    ]["predictor"]
    assert predictor["model"]["storageUri"] == f"pvc://mmst-scratch/models/{Path(config.model.base).name}"
    assert {"--dtype=bfloat16", f"--tensor-parallel-size={config.cluster.server_gpus}"} <= set(
        predictor["model"]["args"]
    )
    assert predictor["model"]["resources"]["limits"]["nvidia.com/gpu"] == str(config.cluster.server_gpus)
