"""The adapter by itself: PEFT's format, and with the base the model that was trained."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from mmst.training.adapter import export_adapter
from mmst.training.export import export
from mmst.training.model import load_model
from tests.training.test_export import base, trained

IDS = torch.tensor([[5, 9, 3, 7, 4, 8]])


def exported(at: Path, to: Path, **settings: Any) -> tuple[Path, Any]:
    """The adapter's folder, and the model that it is of."""
    _, _, model, _ = trained(at, **settings)
    export_adapter(model, lambda name: model.get_parameter(name).detach(), to)
    return to, model


@pytest.mark.parametrize("architecture", ["bloom", "llama", "qwen2"])
def test_peft_makes_the_merged_model_of_it(tmp_path: Path, architecture: str) -> None:
    from peft import PeftModel

    at, merged = base(tmp_path, architecture), tmp_path / "merged"
    folder, model = exported(at, tmp_path / "adapter", lora_rank=3)
    merged.mkdir()
    export(model, lambda name: model.get_parameter(name).detach(), at, merged)
    with torch.no_grad():
        wanted = load_model(merged, torch.float32, False)(input_ids=IDS).logits
        before = load_model(at, torch.float32, False)(input_ids=IDS).logits
        adapted = PeftModel.from_pretrained(load_model(at, torch.float32, False), str(folder))
        found = adapted(input_ids=IDS).logits
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-4)
    assert (before - wanted).abs().max() > 1e-3


def test_its_files_are_peft_s(tmp_path: Path) -> None:
    folder, model = exported(base(tmp_path), tmp_path / "adapter", lora_rank=2, lora_targets=("v_proj", "q_proj"))
    model.save_pretrained(tmp_path / "theirs")
    settings, theirs = (json.loads((at / "adapter_config.json").read_text()) for at in (folder, tmp_path / "theirs"))
    theirs["target_modules"].sort()
    assert settings == theirs | {"base_model_name_or_path": None}
    with (
        safe_open(folder / "adapter_model.safetensors", "pt") as ours,
        safe_open(tmp_path / "theirs/adapter_model.safetensors", "pt") as other,
    ):
        assert set(ours.keys()) == set(other.keys())
        assert all(torch.equal(ours.get_tensor(n), other.get_tensor(n)) for n in ours.keys())  # noqa: SIM118


def test_other_ranks_give_their_parts_and_write_nothing(tmp_path: Path) -> None:
    _, _, model, weights = trained(base(tmp_path), lora_rank=2)
    asked = list[str]()

    def weight(name: str) -> torch.Tensor:
        asked.append(name)
        return weights[name]

    export_adapter(model, weight, tmp_path / "adapter", rank=1)
    assert asked == list(weights)
    assert not (tmp_path / "adapter").exists()
