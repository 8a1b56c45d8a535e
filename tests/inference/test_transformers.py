"""The model in process: architectures, independence of rows, stop strings, refusals."""

import dataclasses
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from mmst.core.errors import ModelError, SamplerError  # noqa: E402
from mmst.core.ports import Request  # noqa: E402
from mmst.inference.decoding import pick  # noqa: E402
from mmst.inference.providers.transformers import LocalModel, chat_renderer  # noqa: E402
from mmst.inference.sequences import ActiveSequence  # noqa: E402
from tests.support.tiny_models import ARCHITECTURES, tiny_model  # noqa: E402


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", params=ARCHITECTURES)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalModel]:
    folder = tiny_model(tmp_path_factory.mktemp("model"), request.param)
    with LocalModel(folder, dtype="float32", batch=256, trust_remote_code=False) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalModel]:
    folder = tiny_model(tmp_path_factory.mktemp("model"), "llama")
    with LocalModel(folder, dtype="float32", batch=256, trust_remote_code=False) as loaded:
        yield loaded


def ask(prompt: str = "Question: how many apples\nText:\n", **other: Any) -> Request:
    base = Request(id="r", prompt=prompt, n=2, seed=7, temperature=1.0, top_p=1.0, max_tokens=8, stop=())
    return dataclasses.replace(base, **other)


def greedy_by_transformers(model: LocalModel, prompt: str, tokens: int) -> list[int]:
    """The reference: the whole text through the model again for every token, one row, no cache."""
    ids = model.tokens.prompt(prompt, 512)
    start = len(ids)
    for _ in range(tokens):
        with torch.inference_mode():
            ids = [*ids, int(model.model(torch.tensor([ids])).logits[0, -1].argmax())]
        if ids[-1] in model.tokens.end_tokens:
            break
    return ids[start:]


def test_greedy_decoding_equals_the_model_without_cache_batch_or_padding(model: LocalModel) -> None:
    prompts = ["Question: a\nText:\n", "x", "The answer is " + "7 apples " * 6 + "\nPython:\n"]
    answers = model.sample([ask(p, n=1, temperature=0.0, max_tokens=6) for p in prompts])
    for prompt, (completion,) in zip(prompts, answers, strict=True):
        tokens = greedy_by_transformers(model, prompt, 6)
        expected = model.tokens.text(model.tokens.prompt(prompt, 512), tokens)
        assert (completion.text, completion.tokens) == (expected, len(tokens))


def test_a_completion_does_not_depend_on_the_batch_it_fell_into(model: LocalModel) -> None:
    requests = [
        ask(
            "ab " * i + "\n",
            id=str(i),
            n=1 + i % 3,
            seed=i,
            temperature=(0.0, 0.8, 1.5)[i % 3],
            top_p=(1.0, 0.9)[i % 2],
        )
        for i in range(12)
    ]
    together = model.sample(requests)
    assert model.sample(requests[::-1])[::-1] == together
    assert [model.sample([r])[0] for r in requests[4:6]] == together[4:6]


WORKED = "Solve it.\n\nQuestion: how many apples\nText:\n3 + 4 = 7 .\nThe answer is 7\n\n"
OTHER = "Write a program.\n\nQuestion: how many pears\nPython:\nprint(3 + 4)\n\n" * 2


def test_what_prompts_share_is_read_once_and_changes_nothing(model: LocalModel) -> None:
    prompts = [f"{WORKED}Question: {i}\nText:\n" for i in range(3)]
    asked = [ask(p, n=1, temperature=0.0, max_tokens=6, shared=len(WORKED)) for p in prompts]
    for prompt, (completion,) in zip(prompts, model.sample(asked), strict=True):
        tokens = greedy_by_transformers(model, prompt, 6)
        assert completion.text == model.tokens.text(model.tokens.prompt(prompt, 512), tokens)


def test_a_completion_does_not_depend_on_who_shares_its_beginning(model: LocalModel) -> None:
    requests = [
        ask(f"{head}Question: {'ab ' * i}\n", id=str(i), n=1 + i % 2, seed=i, shared=len(head))
        for i in range(9)
        for head in [(WORKED, OTHER, "")[i % 3]]
    ]
    together = model.sample(requests)
    assert model.sample(requests[::-1])[::-1] == together
    assert [model.sample([r])[0] for r in requests[3:6]] == together[3:6]


def test_a_prompt_that_ends_where_the_shared_part_does_is_completed(llama: LocalModel) -> None:
    whole = ask(WORKED, shared=len(WORKED))
    assert llama.sample([whole, ask(f"{WORKED}x", shared=len(WORKED))])[0] == llama.sample([whole])[0]


def test_fewer_slots_than_rows_give_the_same_completions(llama: LocalModel) -> None:
    requests = [ask("ab " * i + "\n", id=str(i), n=4, seed=i) for i in range(20)]
    whole = llama.sample(requests)
    with LocalModel(llama.folder, dtype="float32", batch=64, trust_remote_code=False) as small:
        assert small.sample(requests) == whole


def test_the_j_th_completion_does_not_depend_on_n(llama: LocalModel) -> None:
    assert llama.sample([ask(n=5)])[0][:2] == llama.sample([ask(n=2)])[0]


def test_completions_of_one_request_differ_and_seeds_differ(llama: LocalModel) -> None:
    one, other = llama.sample([ask(n=8), ask(n=8, seed=8)])
    assert len({c.text for c in [*one, *other]}) > 12


def test_a_stop_string_and_what_follows_are_cut_off(llama: LocalModel) -> None:
    free = llama.sample([ask(n=8, max_tokens=30)])[0]
    stop = tuple(c.text[5:7] for c in free if len(c.text) > 10)
    stopped = llama.sample([ask(n=8, max_tokens=30, stop=stop)])[0]
    for whole, cut in zip(free, stopped, strict=True):
        first = min((at for s in stop if (at := whole.text.find(s)) >= 0), default=None)
        assert cut.text == whole.text[:first]
        assert (cut.finish == "stop") == (first is not None or whole.finish == "stop")
    assert any(c.tokens < w.tokens for w, c in zip(free, stopped, strict=True))


def test_max_tokens_ends_with_length(llama: LocalModel) -> None:
    (completion,) = llama.sample([ask(n=1, max_tokens=3, temperature=0.0)])[0]
    assert (completion.finish, completion.tokens) == ("length", 3)


def test_progress_counts_every_completion(llama: LocalModel) -> None:
    done: list[int] = []
    llama.sample([ask(n=3), ask(n=4)], done.append)
    assert sum(done) == 7


@pytest.mark.parametrize("prompt", ["x" * 512, "x" * 600, "\n" * 5000])
def test_a_prompt_longer_than_the_context_fails_alone_with_its_problem_and_the_sizes(
    llama: LocalModel, prompt: str
) -> None:
    done: list[int] = []
    one, long, other = llama.sample([ask(), ask(prompt, problem_id="p-9", n=3), ask(seed=8)], done.append)
    assert [one, other] == llama.sample([ask(), ask(seed=8)])
    assert sum(done) == 7
    assert [c.finish for c in long] == ["failed"] * 3
    assert {c.failure for c in long} == {
        f"prompt: the prompt of problem p-9 has {len(prompt)} tokens and the model's context holds 512"
    }


def test_a_prompt_that_just_fits_is_completed(llama: LocalModel) -> None:
    (completion,) = llama.sample([ask("x" * 511, n=1)])[0]
    assert completion.finish in {"stop", "length"}


def test_prompts_that_all_fail_leave_nothing_to_decode(llama: LocalModel) -> None:
    assert [c.finish for answer in llama.sample([ask("x" * 600), ask("x" * 700)]) for c in answer] == ["failed"] * 4


def test_a_tokenizer_of_another_model_is_no_fault_of_the_prompt(
    llama: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llama.tokens, "prompt", lambda *a: [1, 99_999])
    with pytest.raises(ModelError, match="the model knows"):
        llama.sample([ask()])


@pytest.mark.parametrize("temperature", [5e-324, 1e-310, 1e-30, 1e-9])
@pytest.mark.parametrize("top_p", [1.0, 0.5, 5e-324])
def test_what_is_colder_than_cold_draws_the_likeliest(llama: LocalModel, temperature: float, top_p: float) -> None:
    cold = llama.sample([ask(n=2, temperature=temperature, top_p=top_p)])
    assert cold == llama.sample([ask(n=2, temperature=0.0)])


def test_what_is_kept_of_tokens_is_bounded_by_the_vocabulary(llama: LocalModel) -> None:
    for i in range(30):
        llama.sample([ask(n=8, seed=i, stop=(f"stop {i}", f"{i} halt"), max_tokens=20)])
    assert set(llama.tokens.pieces) <= set(range(len(llama.tokens.tokenizer)))


def test_offsets_are_where_each_token_begins(llama: LocalModel) -> None:
    text = "Question: héllo 算 🍎🍎 the answer is 4\n  ab"
    tokens = llama.tokens.tokenizer(text, add_special_tokens=False)["input_ids"]
    prompt = llama.tokens.prompt("Text:\n", 512)
    plain = [len(llama.tokens.text(prompt, tokens[:i])) for i in range(len(tokens))]
    found = llama.tokens.offsets(prompt, tokens)
    ascii_only = [i for i, t in enumerate(tokens) if "\ufffd" not in llama.tokens.text(prompt, tokens[:i])]
    assert [found[i] for i in ascii_only] == [plain[i] for i in ascii_only]
    assert len(found) == len(tokens)
    assert len(ascii_only) > 20


def test_a_long_row_draws_the_numbers_that_it_would_at_once(llama: LocalModel) -> None:
    import numpy

    from mmst.inference.sequences import AHEAD, sequences_of

    (row,) = sequences_of(ask(n=1, max_tokens=10_000, seed=11), [1, 2], 1 << 20)
    assert len(row.draws) == AHEAD
    for _ in range(5 * AHEAD):
        row.take(3, -1.0)
    whole = numpy.random.Generator(numpy.random.Philox(key=[11, 0])).random(10_000).tolist()
    assert row.draws == whole[: len(row.draws)]
    assert len(row.draws) > len(row.tokens)


def test_a_completion_ends_where_the_context_ends(llama: LocalModel) -> None:
    (completion,) = llama.sample([ask("x" * 508, n=1, temperature=0.0, max_tokens=50)])[0]
    assert completion.tokens <= 4


def test_running_out_of_memory_is_a_sampler_error(llama: LocalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*args: Any, **kwargs: Any) -> None:
        raise MemoryError

    monkeypatch.setattr("mmst.inference.decoding.pick", explode)
    with pytest.raises(SamplerError, match=r"sampling\.batch"):
        llama.sample([ask()])


@pytest.mark.parametrize("top_p", [1.0, 0.6])
def test_tokens_are_drawn_as_often_as_their_probability_says(top_p: float) -> None:
    p = torch.tensor([0.1, 0.5, 0.15, 0.25])
    n = 4000
    request: Any = SimpleNamespace(temperature=1.0, top_p=top_p)
    rows: list[Any] = [SimpleNamespace(request=request, draws=[(i + 0.5) / n], tokens=[]) for i in range(n)]
    chosen, logprobs = pick(p.log().expand(n, 4), rows)
    expected = {0: 0.1, 1: 0.5, 2: 0.15, 3: 0.25} if top_p == 1.0 else {1: 2 / 3, 3: 1 / 3}
    found = {token: count / n for token, count in Counter(chosen.tolist()).items()}
    assert found == pytest.approx(expected, abs=1e-3)
    assert torch.allclose(logprobs.exp(), p[chosen])


def test_a_folder_with_only_pickled_weights_is_refused(llama: LocalModel, tmp_path: Path) -> None:
    for file in llama.folder.iterdir():
        if file.suffix != ".safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    torch.save(llama.model.state_dict(), tmp_path / "pytorch_model.bin")
    with (
        pytest.raises(ModelError, match="safetensors"),
        LocalModel(tmp_path, dtype="float32", batch=1, trust_remote_code=False),
    ):
        pass


def test_a_folder_without_a_tokenizer_is_refused(llama: LocalModel, tmp_path: Path) -> None:
    for file in llama.folder.iterdir():
        if "token" not in file.name:
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with (
        pytest.raises(ModelError, match="tokenizer"),
        LocalModel(tmp_path, dtype="float32", batch=1, trust_remote_code=False),
    ):
        pass


def test_the_chat_template_renders_and_its_absence_is_refused(llama: LocalModel, tmp_path: Path) -> None:
    render = chat_renderer(tiny_model(tmp_path, "llama", chat=True))
    assert render([{"role": "user", "content": "hi"}]) == "<s>user\nhi</s>\n<s>assistant\n"
    with pytest.raises(ModelError, match="template"):
        chat_renderer(llama.folder)


def test_a_start_token_in_a_rendered_prompt_is_not_doubled(llama: LocalModel) -> None:
    assert llama.tokens.prompt("<s>user", 512).count(1) == 1


def test_rows_have_streams_of_their_own() -> None:
    from mmst.inference.sequences import sequences_of

    rows: list[ActiveSequence] = sequences_of(ask(n=3), [1, 2], 100)
    assert len({row.draws[0] for row in rows}) == 3
    assert sequences_of(ask(n=3), [5], 100)[2].draws == rows[2].draws


def test_weights_that_are_not_numbers_are_a_sampler_error(tmp_path: Path) -> None:
    folder = tiny_model(tmp_path, "llama")
    with LocalModel(folder, dtype="float32", batch=8, trust_remote_code=False) as broken:
        with torch.no_grad():
            broken.model.lm_head.weight.fill_(float("nan"))
        with pytest.raises(SamplerError, match="NaN"):
            broken.sample([ask()])


def test_a_tokenizer_of_another_model_is_refused(llama: LocalModel, tmp_path: Path) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    for file in llama.folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    small = LlamaConfig(
        vocab_size=20, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, eos_token_id=2
    )
    LlamaForCausalLM(small).save_pretrained(tmp_path)
    with (
        LocalModel(tmp_path, dtype="float32", batch=8, trust_remote_code=False) as mixed,
        pytest.raises(ModelError, match="the model knows 20"),
    ):
        mixed.sample([ask()])
