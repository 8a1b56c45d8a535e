"""CTranslate2: its samples are each request's own, and those of `local` in the same numbers; refusals."""

import dataclasses
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest

pytest.importorskip("torch")
pytest.importorskip("ctranslate2")

from mmst.core.config import parse
from mmst.core.errors import ConfigError, ModelError, SamplerError, Stopped
from mmst.core.ports import Request
from mmst.inference.providers import ctranslate2_convert
from mmst.inference.providers.ctranslate2 import BUCKET, PROMPTS, Batch, Ctranslate2Model
from mmst.inference.providers.ctranslate2_convert import converted
from mmst.inference.providers.ctranslate2_draws import untempered
from mmst.inference.providers.transformers import LocalModel
from tests.support.tiny_models import tiny_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model") / "llama", "llama")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield Path()


@pytest.fixture(scope="module")
def int8(folder: Path, cache: Path) -> Iterator[Ctranslate2Model]:
    with Ctranslate2Model(folder, converted(folder, "int8"), dtype="int8", batch=64) as model:
        yield model


@pytest.fixture(scope="module")
def float32(folder: Path, cache: Path) -> Iterator[Ctranslate2Model]:
    with Ctranslate2Model(folder, converted(folder, "float32"), dtype="float32", batch=64) as model:
        yield model


def ask(prompt: str = "Question: how many apples\nText:\n", **other: Any) -> Request:
    base = Request(id="r", prompt=prompt, n=2, seed=7, temperature=1.0, top_p=1.0, max_tokens=8, stop=())
    return dataclasses.replace(base, **other)


def mixed(count: int = 40) -> list[Request]:
    """Prompts of one token to three buckets, several of one length, drawn and greedy, alone and by threes."""
    return [
        ask(
            "x" * (1 + i * 7 % (3 * BUCKET)),
            id=str(i),
            n=1 + i % 3,
            seed=i,
            temperature=(0.0, 0.8, 1.5)[i % 3],
            top_p=(1.0, 0.9)[i % 2],
            max_tokens=4 + i % 9,
        )
        for i in range(count)
    ]


def test_a_completion_does_not_depend_on_the_batch_it_fell_into(int8: Ctranslate2Model) -> None:
    together = int8.sample(mixed())
    assert int8.sample(mixed()[::-1])[::-1] == together
    assert [int8.sample([request])[0] for request in mixed()] == together


def test_smaller_batches_give_the_same(int8: Ctranslate2Model, folder: Path) -> None:
    with Ctranslate2Model(folder, int8.converted, dtype="int8", batch=3) as small:
        assert small.sample(mixed()) == int8.sample(mixed())


def test_more_rows_than_fit_into_a_batch_are_each_their_own(int8: Ctranslate2Model) -> None:
    many = int8.sample([ask(n=200, max_tokens=4)])[0]
    assert many[:3] == int8.sample([ask(n=3, max_tokens=4)])[0]
    assert len({c.text for c in many}) > 100


def test_what_was_asked_before_changes_nothing(int8: Ctranslate2Model) -> None:
    first = int8.sample([ask()])
    int8.sample(mixed(7))
    assert int8.sample([ask()]) == first


@pytest.mark.parametrize("temperature", [0.0, 0.7, 1.5])
def test_in_float32_it_says_what_the_local_backend_says(
    float32: Ctranslate2Model, folder: Path, temperature: float
) -> None:
    requests = [ask("ab " * i + "?", id=str(i), seed=i, temperature=temperature, max_tokens=12) for i in range(30)]
    with LocalModel(folder, dtype="float32", batch=64, trust_remote_code=False) as local:
        expected = local.sample(requests)
    same = sum(a == b for a, b in zip(float32.sample(requests), expected, strict=True))
    assert same >= 28  # a number may fall between two tokens so that the last bit decides


def test_completions_of_one_request_differ_and_seeds_differ(int8: Ctranslate2Model) -> None:
    one, other = int8.sample([ask(n=8), ask(n=8, seed=8)])
    assert len({c.text for c in [*one, *other]}) > 12


def test_greedy_completions_of_one_request_are_the_same(int8: Ctranslate2Model) -> None:
    one, other = int8.sample([ask(n=2, temperature=0.0)])[0]
    assert one == other


@pytest.mark.parametrize("top_p", [1.0, 0.5, 5e-324])
@pytest.mark.parametrize("temperature", [5e-324, 1e-30, 1e-9])
def test_what_is_colder_than_cold_draws_the_likeliest(
    float32: Ctranslate2Model, temperature: float, top_p: float
) -> None:
    cold = float32.sample([ask(n=2, temperature=temperature, top_p=top_p)])
    assert cold == float32.sample([ask(n=2, temperature=0.0)])


def test_a_stop_string_and_what_follows_are_cut_off(int8: Ctranslate2Model) -> None:
    free = int8.sample([ask(n=8, max_tokens=30)])[0]
    stop = tuple(c.text[5:7] for c in free if len(c.text) > 10)
    for whole, cut in zip(free, int8.sample([ask(n=8, max_tokens=30, stop=stop)])[0], strict=True):
        first = min((at for s in stop if (at := whole.text.find(s)) >= 0), default=None)
        assert cut.text == whole.text[:first]
        assert cut.tokens <= whole.tokens


def test_a_prompt_longer_than_the_context_fails_alone(int8: Ctranslate2Model) -> None:
    one, long, other = int8.sample([ask(), ask("x" * 600, problem_id="p-9", n=3), ask(seed=8)])
    assert [one, other] == int8.sample([ask(), ask(seed=8)])
    assert [c.finish for c in long] == ["failed"] * 3
    assert "p-9" in long[0].failure


def test_a_completion_ends_where_the_context_ends(int8: Ctranslate2Model) -> None:
    (completion,) = int8.sample([ask("x" * 508, n=1, temperature=0.0, max_tokens=50)])[0]
    assert completion.tokens <= 4


def test_a_stop_under_way_reaches_the_caller_and_the_model_can_be_asked_again(int8: Ctranslate2Model) -> None:
    def stop(n: int) -> None:
        raise Stopped("Ctrl-C")

    with pytest.raises(Stopped):
        int8.sample(mixed(), on_tokens=stop)
    assert len(int8.sample([ask()])[0]) == 2


def test_a_row_that_drew_another_number_of_times_than_it_was_set_is_trouble() -> None:
    class Drawn:
        taken = 5

        def set(self, numbers: Any) -> None:
            pass

    from mmst.inference.sequences import sequences_of

    batch = [sequences_of(ask(n=1), [1, 2], 100)]
    under_way = Batch(batch, 0, Drawn(), lambda row: True, lambda n: None, lambda n: None)  # type: ignore[arg-type]
    under_way.prepare()
    said = {"hypothesis_id": 0, "token_id": 3, "log_prob": -1.0, "step": 1}
    row, filler = (type("Step", (), {"batch_id": i, **said}) for i in range(2))
    under_way(row)
    with pytest.raises(SamplerError, match="drew 5 numbers for 2 rows"):
        under_way(filler)


def test_untempered_words_are_the_state_that_puts_them_out() -> None:
    generator = numpy.random.MT19937()
    generator._legacy_seeding(5)
    words = generator.random_raw(624)
    assert (untempered(words.astype(numpy.uint64)) == generator.state["state"]["key"]).all()


def test_an_architecture_that_it_does_not_take_is_one_error(tmp_path: Path, cache: Path) -> None:
    from transformers import OlmoConfig, OlmoForCausalLM

    made = tiny_model(tmp_path / "olmo", "llama")
    small = OlmoConfig(vocab_size=300, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1)
    OlmoForCausalLM(small).save_pretrained(made)
    with pytest.raises(ModelError, match=r"does not take .*Olmo.*sampling\.backend=local"):
        converted(made, "int8")


def test_a_checkpoint_is_converted_once_by_what_its_files_hold(
    folder: Path, int8: Ctranslate2Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ctranslate2_convert, "_convert", None)
    copy = tmp_path / "elsewhere"
    copy.mkdir()
    for file in folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    assert converted(copy, "int8") == int8.converted


@pytest.mark.parametrize(
    "damage",
    [
        lambda made: (made / "model.bin").write_bytes(bytes((made / "model.bin").stat().st_size)),
        lambda made: (made / "vocabulary.json").unlink(),
        lambda made: (made / "model.bin").unlink(),
        lambda made: made.rename(made.with_name("gone")),
    ],
)
def test_a_damaged_conversion_is_made_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], object]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = converted(folder, "int8")
    before = {path.name: path.read_bytes() for path in made.iterdir()}
    damage(made)
    assert {path.name: path.read_bytes() for path in converted(folder, "int8").iterdir()} == before


def test_only_the_checkpoints_used_last_are_kept(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_time = os.utime
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(ctranslate2_convert, "KEPT", 1)
    monkeypatch.setattr(ctranslate2_convert, "_convert", lambda f, to, d: (to.mkdir(), (to / "model.bin").touch()))
    monkeypatch.setattr(
        os, "utime", lambda path, *_, **__: set_time(path, (1, 1))
    )  # within a tick of the file system's clock
    converted(folder, "float32")
    used = converted(folder, "int8")
    assert [path for path in (tmp_path / "mmst").glob("ctranslate2-*") if path.is_dir()] == [used]


@pytest.mark.parametrize(
    ("backend", "dtype"),
    [("local", "int8"), ("openai", "int8"), ("ctranslate2", "bfloat16"), ("ctranslate2", "float16")],
)
def test_a_dtype_that_a_backend_has_not_is_refused(backend: str, dtype: str) -> None:
    with pytest.raises(ConfigError, match=r"model\.dtype=int8"):
        parse({"sampling": {"backend": backend, "url": "http://x"}, "model": {"dtype": dtype}})


def test_prompts_of_a_batch_keep_their_order_in_the_library_s_sort() -> None:
    assert PROMPTS + 1 <= 16  # `std::sort` is stable up to 16 elements, and rows are told apart by their order
