"""The loss of completions: the same packed as padded, in chunks as whole; what a model does not allow is not done."""

import itertools
import random
from typing import Any

import pytest
import torch
import transformers
from torch.utils._python_dispatch import TorchDispatchMode

from mmst.training import budget, head
from mmst.training.data import TokenizedExample
from mmst.training.loss import CompletionLoss
from mmst.training.packing import attention, banded, pack

CPU = torch.device("cpu")
SHAPE = {
    "vocab_size": 199,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 256,
}


def make(name: str, **settings: Any) -> Any:
    torch.manual_seed(1)
    kind = getattr(transformers, f"{name}Config")
    shape = SHAPE if name != "GPT2" else {"vocab_size": 199, "n_embd": 32, "n_layer": 2, "n_head": 4}
    model = transformers.AutoModelForCausalLM.from_config(kind(**shape | settings), dtype=torch.float32)
    with torch.no_grad():
        for p in model.parameters():
            if p.dim() > 1:
                p.normal_(0.0, 0.3)
    return model.eval()


def rows(*lengths: int) -> list[TokenizedExample]:
    chance = random.Random(0)
    return [TokenizedExample([chance.randrange(199) for _ in range(n)], 1 + n // 3) for n in lengths]


def loss_and_gradients(loss: CompletionLoss, model: Any, batch: list[TokenizedExample]) -> tuple[float, torch.Tensor]:
    model.zero_grad()
    found = loss(batch)
    found.backward()  # type: ignore[no-untyped-call]
    return found.item(), torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


PACKS: dict[str, dict[str, Any]] = {
    "Llama": {},
    "Qwen2": {"tie_word_embeddings": True},
    "Mistral": {"sliding_window": 9},
    "Gemma3Text": {"sliding_window": 9},
    "Granite": {"logits_scaling": 3.0},
    "Gemma2": {"attn_logit_softcapping": None, "final_logit_softcapping": 5.0, "sliding_window": 9},
}


@pytest.mark.parametrize("name", PACKS)
def test_packed_rows_give_the_loss_and_gradients_of_padded_ones(name: str) -> None:
    model = make(name, **PACKS[name])
    loss = CompletionLoss(model, model, CPU, torch.float32)
    assert loss.packs
    batch = rows(5, 30, 9, 9, 17, 30, 12)
    packed, found = loss_and_gradients(loss, model, batch)
    model.set_attn_implementation("eager")
    loss.packs = False
    padded, wanted = loss_and_gradients(loss, model, batch)
    assert packed == pytest.approx(padded, rel=1e-5)
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-4 * float(wanted.abs().max()))


@pytest.mark.parametrize(
    ("name", "settings"), [("Granite", {"logits_scaling": 3.0}), ("Gemma2", {"final_logit_softcapping": 5.0})]
)
def test_a_model_that_changes_its_logits_has_them_whole(name: str, settings: Any) -> None:
    model = make(name, **settings)
    assert not CompletionLoss(model, model, CPU, torch.float32).chunks


@pytest.mark.parametrize(("name", "settings"), [("Bloom", {"n_head": 4}), ("Gemma2", {"attn_logit_softcapping": 5.0})])
def test_a_model_that_attends_in_its_own_way_is_padded_as_before(name: str, settings: Any) -> None:
    model = make(name, **settings)
    before = model.config._attn_implementation
    loss = CompletionLoss(model, model, CPU, torch.float32)
    assert not loss.packs
    assert model.config._attn_implementation == before
    assert loss(rows(5, 9)).item() > 0


def test_a_row_s_loss_and_gradients_do_not_depend_on_its_neighbours() -> None:
    model = make("Llama")
    loss = CompletionLoss(model, model, CPU, torch.float32)
    batch = rows(12, 7, 12, 30)
    together, found = loss_and_gradients(loss, model, batch)
    alone = [loss_and_gradients(loss, model, [row]) for row in batch]
    assert together == pytest.approx(sum(value for value, _ in alone), rel=1e-5)
    wanted = torch.stack([gradients for _, gradients in alone]).sum(0)
    assert float((found - wanted).norm() / wanted.norm()) < 1e-5


class Written(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the elements of all tensors that operations give."""

    elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **kwargs or {})
        self.elements += sum(x.numel() for x in torch.utils._pytree.tree_leaves(out) if isinstance(x, torch.Tensor))
        return out


@pytest.mark.parametrize("lengths", [[16] * 36, [*range(1, 33), 48]])
def test_what_the_backward_pass_writes_grows_with_the_tokens_not_with_the_stretches(lengths: list[int]) -> None:
    runs = tuple((len(list(same)), n) for n, same in itertools.groupby(lengths))
    query, key, value = (torch.randn(1, 2, sum(lengths), 8, requires_grad=True) for _ in range(3))
    out, _ = attention(torch.nn.Module(), query, key, value, None, runs=runs, scaling=1.0)
    with Written() as written:  # type: ignore[no-untyped-call]
        out.sum().backward()  # type: ignore[no-untyped-call]
    assert written.elements < 30 * query.numel()


LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "short_factor": [1.0] * 4,
    "long_factor": [4.0] * 4,
    "original_max_position_embeddings": 16,
}


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("Phi3", {"rope_parameters": LONGROPE, "pad_token_id": 0, "eos_token_id": 0, "bos_token_id": 0}),
        ("Llama", {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0}}),
        ("Llama4Text", {"attention_chunk_size": 8}),
    ],
)
def test_what_differs_only_in_long_rows_is_padded(name: str, settings: Any) -> None:
    model = make(name, **settings)
    assert not CompletionLoss(model, model, CPU, torch.float32).packs


def test_a_row_without_a_prompt_does_not_learn_its_first_token_from_its_neighbour() -> None:
    model = make("Llama")
    loss = CompletionLoss(model, model, CPU, torch.float32)
    batch = [TokenizedExample([7, 8, 9], 0), TokenizedExample([3], 0), TokenizedExample([4, 5, 6], 1)]
    packed = loss(batch).item()
    loss.packs = False
    model.set_attn_implementation("eager")
    assert packed == pytest.approx(loss(batch).item(), rel=1e-5)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("frozen", [False, True])
def test_chunks_of_logits_give_what_all_would(monkeypatch: pytest.MonkeyPatch, bias: bool, frozen: bool) -> None:
    torch.manual_seed(0)
    monkeypatch.setattr(budget, "LOGIT_BYTES", 4 * 50 * 3)  # three tokens
    linear = torch.nn.Linear(8, 50, bias=bias)
    linear.weight.requires_grad_(not frozen)
    hidden, targets = torch.randn(10, 8, requires_grad=True), torch.randint(50, (10,))
    whole = torch.nn.functional.cross_entropy(linear(hidden), targets, reduction="sum")
    learnt = [p for p in (hidden, *linear.parameters()) if p.requires_grad]
    wanted = torch.autograd.grad(3 * whole, learnt)
    found = head.summed_loss(linear, hidden, targets)
    torch.testing.assert_close(found, whole)
    torch.testing.assert_close(torch.autograd.grad(3 * found, learnt), wanted)


def test_no_more_logits_are_held_than_a_chunk_has() -> None:
    assert budget.logits_at_once(4096, 152_000) * 152_000 * 4 <= budget.LOGIT_BYTES
    assert budget.logits_at_once(4096, 500) == 4096


def test_equally_long_rows_are_one_run() -> None:
    packed = pack(rows(7, 5, 7, 5, 9), CPU)
    assert packed.runs == ((2, 5), (2, 7), (1, 9))
    assert packed.positions[0, :12].tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1]


def test_a_window_hides_what_is_further_back() -> None:
    assert banded(3, 3, CPU) is None
    mask = banded(4, 2, CPU)
    assert mask is not None
    assert mask.int().tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]]
