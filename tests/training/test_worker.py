"""The fine-tuning worker, run in this process: what it learns from, when it stops, what it leaves."""

import itertools
import logging
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open

from mmst.core.config import TrainConfig
from mmst.core.errors import DivergedError, UserError
from mmst.core.ports import TrainSpec
from mmst.core.records import Example
from mmst.training import checkpoints
from mmst.training.data import Plan, TokenizedExample, cut, encode, parts
from mmst.training.guard import JUDGED
from mmst.training.loop import Steps, learning_rate, train
from mmst.training.loss import completion_loss, pad
from mmst.training.model import adamw, load_model, loaded_logits
from mmst.training.plain import Plain
from tests.support.tiny_models import tiny_tokenizer
from tests.support.training import digests, examples, task


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("finetune")


def run(spec: TrainSpec, stop_at: int = 0) -> list[float]:
    losses = []

    def on_step(step: int, loss: float) -> None:
        losses.append(loss)
        if step == stop_at:
            raise KeyboardInterrupt

    train(spec, 0, 1, on_step)
    return losses


# --- data ---------------------------------------------------------------------------------------


def test_a_row_is_the_sampled_prompt_then_the_completion_and_the_end_token() -> None:
    tokenizer = tiny_tokenizer()
    (row,) = encode(tokenizer, [Example(problem_id="p", method="code", prompt="Ask:\n", completion="7", origin="own")])
    assert row.ids[: row.start] == tokenizer("Ask:\n")["input_ids"]
    assert tokenizer.decode(row.ids[row.start :]) == "7</s>"


@given(st.lists(st.integers(1, 40), min_size=1, max_size=50), st.integers(40, 200))
def test_padded_batches_keep_to_the_budget_and_lose_nothing(lengths: list[int], budget: int) -> None:
    groups = cut([TokenizedExample([1] * n, 0) for n in sorted(lengths)], budget)
    assert all(len(g) * max(len(row.ids) for row in g) <= budget for g in groups)
    assert sorted(len(row.ids) for g in groups for row in g) == sorted(lengths)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=50), st.integers(40, 200), st.integers(1, 4), st.booleans())
def test_parts_keep_to_the_budget_and_lose_nothing(lengths: list[int], most: int, ranks: int, packed: bool) -> None:
    made = parts([TokenizedExample([1] * n, 0) for n in lengths], most, ranks, packed=packed)
    assert len(made) % ranks == 0
    assert all(sum(len(row.ids) for row in part) <= most for part in made)
    assert sorted(len(row.ids) for part in made for row in part) == sorted(lengths)


def plan(folder: Path, longest: int = 512) -> Plan:
    return Plan(Path(task(folder).examples), tiny_tokenizer(), longest, 256)


def test_batches_go_on_when_the_examples_have_all_been_seen(folder: Path) -> None:
    rows = sum(len(batch) for batch in itertools.islice(plan(folder).batches(), 200))
    assert rows > 2 * len(examples())


def test_the_same_file_gives_the_same_batches(folder: Path) -> None:
    first, again = (list(itertools.islice(plan(folder).batches(), 20)) for _ in range(2))
    assert first == again


def test_examples_that_do_not_fit_are_left_out_and_counted(folder: Path) -> None:
    tokens = sorted(len(row.ids) for row in encode(tiny_tokenizer(), examples()))
    cropped = plan(folder, longest=tokens[20])
    seen = list(itertools.islice(cropped.batches(), 5))
    assert max(len(row.ids) for batch in seen for row in batch) <= tokens[20]
    assert cropped.dropped


def test_it_is_said_when_no_example_fits(folder: Path) -> None:
    with pytest.raises(UserError, match="longer than 3 tokens"):
        next(plan(folder, longest=3).batches())


def test_only_the_completion_s_tokens_are_learnt() -> None:
    ids, learnt = pad([TokenizedExample([5, 6, 7, 8], 2), TokenizedExample([5, 6, 9], 1)], torch.device("cpu"))
    assert ids.tolist() == [[5, 6, 7, 8], [5, 6, 9, 9]]
    assert learnt.tolist() == [[False, False, True, True], [False, True, True, False]]
    prompt_only = torch.zeros(2, 4, 10)
    prompt_only[0, 0] = prompt_only[:, 3] = 50.0  # predictions of prompt and padding: they must not count
    even = torch.zeros(2, 4, 10)
    assert completion_loss(prompt_only, ids, learnt) == completion_loss(even, ids, learnt)


# --- optimisation -------------------------------------------------------------------------------


def test_the_learning_rate_warms_up_then_falls() -> None:
    s = TrainConfig(steps=100, warmup=0.1, lr=1.0)
    rates = [learning_rate(step, s) for step in range(100)]
    assert rates[:10] == pytest.approx([0.1 * n for n in range(1, 11)])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert 0 < rates[-1] < 0.01


def test_norms_and_biases_do_not_decay(folder: Path) -> None:
    model = load_model(task(folder).model, torch.float32, False)
    decaying, others = adamw(model, TrainConfig(weight_decay=0.1)).param_groups
    assert {p.dim() for p in decaying["params"]} == {2}
    assert {p.dim() for p in others["params"]} == {1}
    assert (decaying["weight_decay"], others["weight_decay"]) == (0.1, 0.0)


# --- whole runs ---------------------------------------------------------------------------------


def test_training_lowers_the_loss(folder: Path) -> None:
    losses = run(task(folder, "learns", steps=12))
    assert losses[-1] < 0.8 * losses[0]


def test_a_run_stopped_and_resumed_ends_in_the_same_bytes(folder: Path) -> None:
    whole, stopped = task(folder, "whole"), task(folder, "stopped")
    losses = run(whole)
    with pytest.raises(KeyboardInterrupt):
        run(stopped, stop_at=5)
    resumed = run(stopped)
    assert resumed == losses[2:]  # from the checkpoint of step 3
    assert digests(stopped) == digests(whole)


def test_computing_activations_again_ends_in_the_same_bytes(folder: Path) -> None:
    kept, again = task(folder, "kept", steps=3), task(folder, "again", steps=3, gradient_checkpointing=True)
    run(kept)
    with pytest.MonkeyPatch.context() as patch:
        blocks = list[int]()
        checkpoint = torch.utils.checkpoint.checkpoint

        def counted(*a: Any, **k: Any) -> Any:
            blocks.append(1)
            return checkpoint(*a, **k)

        patch.setattr("transformers.modeling_utils.checkpoint", counted)
        run(again)
    assert len(blocks) == 2 * 3  # layers, steps
    assert digests(again) == digests(kept)


@pytest.mark.parametrize("architecture", ["bloom", "llama"])  # padded, packed
def test_adding_up_parts_is_one_large_step(tmp_path: Path, architecture: str) -> None:
    spec = task(tmp_path, "out", architecture)
    batch = next(Plan(Path(spec.examples), tiny_tokenizer(), 512, 512).batches())
    found = []
    for micro in (0, 64):
        s = TrainConfig(batch_tokens=512, micro_tokens=micro)
        engine = Plain(spec, s)
        loss = Steps(engine, s, 0, 1).learn(batch)
        found.append((loss, torch.cat([p.grad.flatten() for p in engine.model.parameters()])))
    (whole, gradient), (added, summed) = found
    assert added == pytest.approx(whole, rel=1e-5)
    assert float((summed - gradient).norm() / gradient.norm()) < 1e-5


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole, stopped = task(folder, "whole-2"), task(folder, "damaged")
    run(whole)
    with pytest.raises(KeyboardInterrupt):
        run(stopped, stop_at=7)
    state = Path(stopped.scratch) / "step-00000006/state.pt"
    state.write_bytes(state.read_bytes()[:-100])
    with caplog.at_level(logging.WARNING):
        assert len(run(stopped)) == 6  # step 3 again, then 4 to 8
    assert "damaged" in caplog.text
    assert digests(stopped) == digests(whole)


def test_the_folder_holds_no_path_of_this_machine(folder: Path) -> None:
    spec = task(folder, "clean", steps=1)
    run(spec)
    assert not [p.name for p in Path(spec.out).iterdir() if str(folder).encode() in p.read_bytes()]


@pytest.mark.parametrize("architecture", ["bloom", "qwen2"])
def test_other_architectures_train_and_load(folder: Path, tmp_path: Path, architecture: Any) -> None:
    spec = task(tmp_path, "out", architecture, steps=2)
    run(spec)
    assert load_model(spec.out, torch.float32, False).config.model_type == architecture


def test_lora_changes_only_what_it_is_for_and_is_merged(folder: Path) -> None:
    spec = task(folder, "lora", steps=3, lora_rank=4)
    run(spec)
    before, after = (load_model(f, torch.float32, False).state_dict() for f in (spec.model, spec.out))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert before.keys() == after.keys()
    assert changed == {name for name in before if "proj" in name}


@pytest.mark.parametrize(
    ("architecture", "target", "said"),
    [
        ("llama", "query", r"no linear layer .* got 'query'. Remedy: linear layers of this model: down_proj, .*q_proj"),
        ("bloom", "lm_head", r"cannot be merged, got 'lm_head'. Remedy: of dense, .*query_key_value$"),
    ],
)
def test_an_adapter_that_cannot_be_is_refused_before_the_model_is_loaded(
    tmp_path: Path, architecture: str, target: str, said: str
) -> None:
    spec = task(tmp_path, "out", architecture, lora_rank=2, lora_targets=(target,))
    (Path(spec.model) / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(UserError, match=said):
        run(spec)


def test_lora_resumes_to_the_same_bytes(folder: Path) -> None:
    whole, stopped = (task(folder, name, steps=5, lora_rank=2, lora_targets=("q_proj",)) for name in ("l1", "l2"))
    run(whole)
    with pytest.raises(KeyboardInterrupt):
        run(stopped, stop_at=4)
    run(stopped)
    assert digests(stopped) == digests(whole)


def test_what_is_kept_of_lora_is_what_is_asked_for(folder: Path) -> None:
    found = {}
    for kept in ("merged", "adapter", "both"):
        spec = task(folder, f"kept-{kept}", steps=2, lora_rank=2, export=kept)
        run(spec)
        found[kept] = digests(spec)
    assert sorted(found["adapter"]) == ["adapter/adapter_config.json", "adapter/adapter_model.safetensors"]
    assert found["both"] == found["merged"] | found["adapter"]


@pytest.mark.parametrize("architecture", ["bloom", "llama"])  # tied, untied
@pytest.mark.parametrize("rank", [0, 2])
def test_tensors_and_all_other_files_are_as_in_the_base(tmp_path: Path, architecture: str, rank: int) -> None:
    spec = task(tmp_path, "out", architecture, steps=1, lora_rank=rank)
    base, out = Path(spec.model), Path(spec.out)
    (base / "chat_template.jinja").write_text("{{ messages }}")
    run(spec)
    others = {p.name for p in base.iterdir()} - {"model.safetensors"}
    assert {"generation_config.json", "chat_template.jinja"} < others
    assert {p.name for p in out.iterdir()} == others | {"model.safetensors"}
    assert all((out / name).read_bytes() == (base / name).read_bytes() for name in others)
    with safe_open(base / "model.safetensors", "pt") as before, safe_open(out / "model.safetensors", "pt") as after:
        assert set(before.keys()) == set(after.keys())


def test_the_trained_model_is_gone_when_the_exported_one_is_loaded(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, engines, loaded = list[int](), list[Plain](), loaded_logits
    begin = Plain.__init__

    def begun(self: Plain, spec: TrainSpec, s: TrainConfig) -> None:
        begin(self, spec, s)
        engines.append(self)

    def measured(*a: Any) -> Any:
        (engine,) = engines
        held.append(sum(p.numel() for p in engine.model.parameters()) + len(engine.optimizer.state))
        return loaded(*a)

    monkeypatch.setattr(Plain, "__init__", begun)
    monkeypatch.setattr("mmst.training.plain.loaded_logits", measured)
    run(task(folder, "gone", steps=1))
    assert held == [0]


def test_bfloat16_trains_and_exports_full_precision(folder: Path) -> None:
    spec = task(folder, "bf16", steps=3, precision="bfloat16")
    run(spec)
    model = load_model(spec.out, torch.float32, False)
    assert model.config.dtype == torch.float32
    assert not torch.equal(model.lm_head.weight, model.lm_head.weight.bfloat16().float())


def test_a_loss_that_is_no_number_leaves_no_folder(folder: Path) -> None:
    spec = task(folder, "nan", steps=6, lr=1.0, clip=0.0, spike=0.0, warmup=0.0)
    learn = Plain.learn

    def poison(self: Plain, loss: Any, *, last: bool) -> None:
        learn(self, loss * math.nan, last=last)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Plain, "learn", poison)
        with pytest.raises(DivergedError, match="the loss of step 2 is nan"):
            run(spec)
    assert not Path(spec.out).exists()


@pytest.fixture(scope="module")
def taught(folder: Path) -> Any:
    """A model that knows its examples: the loss begins low."""
    spec = task(folder, "taught", steps=60, lr=1e-2, checkpoint_every=100)
    run(spec)
    return spec.out


def begun(spec: TrainSpec, model: str) -> TrainSpec:
    return replace(spec, model=model)


@pytest.mark.parametrize("steps", [1, 2, 6, 30])
def test_a_taught_model_that_a_high_rate_ruins_is_no_result(folder: Path, taught: Any, steps: int) -> None:
    spec = begun(task(folder, f"ruined-{steps}", steps=steps, lr=1.0, warmup=0.0), taught)
    with pytest.raises(DivergedError, match=r"above \d\.\d+, which is train.spike=4 times .* lower train.lr=1,"):
        run(spec)
    assert not Path(spec.out).exists()


def test_it_stops_within_the_judged_steps_not_at_the_end(folder: Path, taught: Any) -> None:
    spec = begun(task(folder, "early", steps=200, lr=1.0, warmup=0.0), taught)
    steps = []
    with pytest.raises(DivergedError, match="the loss of steps 2 to 17 was never below"):
        train(spec, 0, 1, lambda step, loss: steps.append(step))
    assert steps == list(range(1, JUDGED + 1))


def test_a_diverged_run_diverges_again_when_it_is_resumed(folder: Path, taught: Any) -> None:
    spec = begun(task(folder, "again-diverged", steps=200, lr=1.0, warmup=0.0, checkpoint_every=5), taught)
    messages = []
    for _ in range(2):
        with pytest.raises(DivergedError) as raised:
            run(spec)
        messages.append(str(raised.value))
    assert messages[0] == messages[1]
    assert not Path(spec.out).exists()


@pytest.mark.parametrize(
    "settings",
    [{"steps": 1}, {"steps": 3, "batch_tokens": 64}, {"steps": 40, "batch_tokens": 48}, {"steps": 30, "warmup": 1.0}],
)
@pytest.mark.parametrize("known", [True, False])
def test_usual_training_is_no_divergence(folder: Path, taught: Any, settings: Any, known: Any) -> None:
    name = "usual-" + "-".join(f"{k}{v}" for k, v in settings.items()) + f"-{known}"
    spec = task(folder, name, **{"lr": 1e-3, **settings})
    run(begun(spec, taught) if known else spec)
    assert Path(spec.out).exists()


# --- checkpoints --------------------------------------------------------------------------------


def save(folder: Path, step: int, text: str = "state") -> None:
    def state(at: Path) -> None:
        (at / "state.pt").write_text(text)

    checkpoints.write(folder, step, "{}", state, first=True, wait=lambda: None)


def test_a_finished_run_is_known_with_the_folders_in_it(tmp_path: Path) -> None:
    made, out = tmp_path / "made", tmp_path / "out"
    (made / "adapter").mkdir(parents=True)
    (made / "adapter/weights").write_text("trained")
    checkpoints.finish(tmp_path, made, out, "{}")
    assert checkpoints.finished(tmp_path, out)
    (out / "adapter/weights").write_text("other")
    assert not checkpoints.finished(tmp_path, out)


def test_the_last_two_checkpoints_are_kept(tmp_path: Path) -> None:
    for step in (2, 4, 6):
        save(tmp_path, step)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000004", "step-00000006"]
    assert checkpoints.latest(tmp_path) == (6, tmp_path / "step-00000006")


def test_a_checkpoint_that_was_being_written_does_not_count(tmp_path: Path) -> None:
    save(tmp_path, 2)

    def die(at: Path) -> None:
        (at / "state.pt").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        checkpoints.write(tmp_path, 4, "{}", die, first=True, wait=lambda: None)
    assert checkpoints.latest(tmp_path) == (2, tmp_path / "step-00000002")


@pytest.mark.parametrize("damage", [lambda p: p.unlink(), lambda p: p.write_text("other")])
@pytest.mark.parametrize("file", ["state.pt", "progress.json", "hashes.json"])
def test_any_damage_is_noticed(tmp_path: Path, file: str, damage: Any) -> None:
    save(tmp_path, 2)
    damage(tmp_path / "step-00000002" / file)
    assert checkpoints.latest(tmp_path) is None
