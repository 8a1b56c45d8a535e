"""The exported folder: the base's files, tensors and dtypes with the trained values, whoever writes which part."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from mmst.core.config import TrainConfig
from mmst.core.ports import TrainSpec
from mmst.core.records import to_data
from mmst.training.export import INDEX, covers, export, stored_dtype
from mmst.training.model import export_whole, load_model, trainable
from tests.support.tiny_models import tiny_model


def base(folder: Path, architecture: str = "llama", dtype: torch.dtype = torch.float32, shards: bool = True) -> Path:
    """A tiny model in several files."""
    tiny_model(folder / "whole", architecture)
    model = load_model(folder / "whole", dtype, False)
    at = folder / "base"
    model.save_pretrained(at, max_shard_size="30kB" if shards else "1GB")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (at / name).write_bytes((folder / "whole" / name).read_bytes())
    (at / "chat_template.jinja").write_text("{{ messages }}")
    return at


def trained(at: Path, **settings: Any) -> tuple[TrainSpec, TrainConfig, Any, dict[str, torch.Tensor]]:
    """A model with other weights than its base's, as if it had been trained."""
    s = TrainConfig(**settings)
    spec = TrainSpec(
        model=str(at), examples="", out="", scratch="", seed=1, settings=to_data(s), trust_remote_code=False
    )
    model = trainable(spec, s)
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad:
                p.add_(torch.randn_like(p) * 0.01)
    return spec, s, model, {n: p.detach() for n, p in model.named_parameters() if p.requires_grad}


def tensors(folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    found = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "pt") as weights:
            found[path.name] = {name: weights.get_tensor(name) for name in weights.keys()}  # noqa: SIM118
    return found


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("architecture", ["bloom", "llama", "qwen2"])
@pytest.mark.parametrize("settings", [{}, {"lora_rank": 3}, {"lora_rank": 2, "lora_targets": ("dense", "q_proj")}])
def test_in_parts_it_is_what_the_whole_model_would_save(
    tmp_path: Path, architecture: str, dtype: torch.dtype, settings: Any
) -> None:
    at = base(tmp_path, architecture, dtype)
    spec, s, model, weights = trained(at, **settings)
    assert covers(at, model)
    parts, whole = tmp_path / "parts", tmp_path / "all"
    parts.mkdir()
    for rank in range(2):
        export(model, weights.__getitem__, at, parts, rank, 2)
    export_whole(spec, s, weights, whole)
    wanted = {name: t for file in tensors(whole).values() for name, t in file.items()}
    found = tensors(parts)
    assert {f: set(names) for f, names in found.items()} == {f: set(names) for f, names in tensors(at).items()}
    for file in found.values():
        for name, tensor in file.items():
            assert tensor.dtype is dtype
            assert torch.equal(tensor, wanted[name]), name
    assert stored_dtype(parts) is dtype


def test_all_that_is_loaded_with_the_weights_is_the_base_s(tmp_path: Path) -> None:
    at = base(tmp_path)
    _, _, model, weights = trained(at)
    out = tmp_path / "out"
    out.mkdir()
    names = {p.name for p in at.iterdir()}
    (at / "manifest.json").write_text("{}")  # the store's own, of the checkpoint that is the base
    export(model, weights.__getitem__, at, out)
    assert {INDEX, "config.json", "generation_config.json", "chat_template.jinja", "tokenizer.json"} < names
    assert {p.name for p in out.iterdir()} == names
    for name in names:
        if not name.endswith(".safetensors"):
            assert (out / name).read_bytes() == (at / name).read_bytes()


def test_a_tied_weight_that_is_stored_twice_is_new_in_both_places(tmp_path: Path) -> None:
    at = base(tmp_path, "bloom", shards=False)
    (file, stored), *_ = tensors(at).items()
    from safetensors.torch import save_file

    save_file(stored | {"lm_head.weight": stored["transformer.word_embeddings.weight"].clone()}, at / file)
    _, _, model, weights = trained(at)
    out = tmp_path / "out"
    out.mkdir()
    export(model, weights.__getitem__, at, out)
    found = tensors(out)[file]
    assert torch.equal(found["lm_head.weight"], found["transformer.word_embeddings.weight"])
    assert not torch.equal(found["lm_head.weight"], stored["transformer.word_embeddings.weight"])


def test_files_without_a_trained_tensor_do_not_cover_the_model(tmp_path: Path) -> None:
    at = base(tmp_path, shards=False)
    _, _, model, _ = trained(at)
    from safetensors.torch import save_file

    (file, stored), *_ = tensors(at).items()
    save_file({("renamed" if "q_proj" in name else "") + name: t for name, t in stored.items()}, at / file)
    assert not covers(at, model)
