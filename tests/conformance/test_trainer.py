"""The trainer with real worker processes: one rank, and two under DeepSpeed."""

from pathlib import Path
from typing import Any

import pytest

from mmst.core.errors import TrainingError
from mmst.training.providers.torchrun import Torchrun
from tests.support.training import digests, task


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def logits(folder: str) -> Any:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    ids = AutoTokenizer.from_pretrained(folder)("Question: how many apples?\nText:\n", return_tensors="pt").input_ids
    with torch.no_grad():
        return model(ids).logits


def test_one_rank_reports_each_step_and_leaves_a_loadable_folder(tmp_path: Path) -> None:
    spec, steps = task(tmp_path, steps=4), []
    figures = Torchrun(1).train(spec, lambda step, loss: steps.append((step, loss)))
    assert [step for step, _ in steps] == [1, 2, 3, 4]
    assert figures["steps"] == 4
    assert figures["loss"] == pytest.approx(steps[-1][1], abs=1e-6)
    assert logits(spec.out).isfinite().all()
    before = digests(spec)
    assert Torchrun(1).train(spec, lambda step, loss: pytest.fail("trained again")) == figures
    assert digests(spec) == before


@pytest.mark.timeout(900)
@pytest.mark.parametrize("zero", [pytest.param(2, marks=pytest.mark.slow), 3])
def test_two_ranks_leave_the_folder_that_the_consolidated_model_is(tmp_path: Path, zero: int) -> None:
    """The worker itself fails unless the folder's logits are those of the model that it has sharded."""
    two = task(tmp_path, "two", steps=3, batch_tokens=256, ranks=2, zero=zero)
    figures = Torchrun(2).train(two)
    assert figures["steps"] == 3
    assert logits(two.out).isfinite().all()
    assert logits(two.out).sub(logits(two.model)).abs().max() > 1e-3


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"zero": 2, "offload": "optimizer"}, marks=pytest.mark.slow),
        pytest.param({"zero": 1, "offload": "optimizer"}, marks=pytest.mark.slow),
        # Offloaded, ZeRO-3 sums the norm for clipping in another order: weights differ by 3e-8.
        pytest.param({"zero": 3, "offload": "optimizer", "clip": 0.0}, marks=pytest.mark.slow),
        {"zero": 3, "offload": "parameters", "clip": 0.0, "lora_rank": 2, "export": "both"},
    ],
)
def test_offloaded_training_ends_in_the_same_bytes(tmp_path: Path, settings: dict[str, Any]) -> None:
    """Gradients of several parts are added up before each step, as DeepSpeed does offloaded in a way of its own."""
    common: dict[str, Any] = {"steps": 3, "batch_tokens": 256, "micro_tokens": 64}
    here = task(tmp_path, "here", **common | settings | {"offload": "none"})
    away = task(tmp_path, "away", **common | settings)
    for spec in (here, away):
        Torchrun(1).train(spec)
    assert digests(away) == digests(here)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_two_ranks_under_zero_3_exit_cleanly_twenty_times_in_a_row(tmp_path: Path) -> None:
    runs = [task(tmp_path, f"run-{n}", steps=2, batch_tokens=256, ranks=2, zero=3) for n in range(20)]
    for spec in runs:
        Torchrun(2).train(spec)
    assert all(digests(spec) == digests(runs[0]) for spec in runs)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_ranks_killed_and_resumed_end_in_the_same_bytes(tmp_path: Path) -> None:
    class Kill(BaseException):
        pass

    def kill(step: int, loss: float) -> None:
        if step == 5:
            raise Kill

    whole, killed = (task(tmp_path, name, batch_tokens=256, ranks=2, zero=3) for name in ("whole", "killed"))
    Torchrun(2).train(whole)
    with pytest.raises(Kill):
        Torchrun(2).train(killed, kill)
    Torchrun(2).train(killed)
    assert digests(killed) == digests(whole)


def test_a_worker_that_fails_is_quoted(tmp_path: Path) -> None:
    spec = task(tmp_path)
    (Path(spec.model) / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(TrainingError, match=r"rank 0(.|\n)*SafetensorError"):
        Torchrun(1).train(spec)


@pytest.mark.parametrize("damage", ["weights", *(pytest.param(d, marks=pytest.mark.slow) for d in ("figures", "lost"))])
def test_a_finished_model_that_is_damaged_before_it_is_taken_is_made_again(tmp_path: Path, damage: Any) -> None:
    """What a run that was killed between training and storing left is not taken up unread."""
    spec = task(tmp_path, steps=4)
    figures, before = Torchrun(1).train(spec), digests(spec)
    path = Path(spec.out) / "model.safetensors" if damage != "figures" else Path(spec.scratch) / "figures.json"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    if damage == "lost":
        path.unlink()
    steps = []
    assert Torchrun(1).train(spec, lambda step, loss: steps.append(step)) == figures
    assert steps, "trained again, from the last checkpoint"
    assert digests(spec) == before
