"""The shipped base model and how it is made: tokenizer, documents, held-out proof, the folder itself."""

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmst.core.records import Split
from mmst.datasets.generated import ANNOTATIONS, MOST, generate
from mmst.models import model_folder
from tests.support.data import DATA, NO_DATA
from tools import data, tokenizer
from tools.documents import Document
from tools.measure import passed, run_program

TOK = tokenizer.build()
FOLDER = model_folder("mmst:tiny")
TRAINED = data.problems(400, 0)


@given(st.text())
@settings(max_examples=300)
def test_any_text_comes_back(text: str) -> None:
    assert TOK.decode(TOK(text)["input_ids"]) == text


@pytest.mark.parametrize("text", ["don't  stop\n\n\t é 漢字 🎉", "$1,234.50 + x_1 <|x|> \u00a0", "   ", "007 1234"])
def test_odd_text_comes_back(text: str) -> None:
    assert TOK.decode(TOK(text)["input_ids"]) == text


def test_every_number_is_one_token() -> None:
    assert all(len(TOK(f" {n}")["input_ids"]) == 1 for n in range(MOST + 1))


def test_generated_problems_fall_into_words() -> None:
    for p in [*generate(300, 11), *generate(300, 11, "related")]:
        for text in (f"Question: {p.question}\nText:\n", *p.solutions.values()):
            pieces = [TOK.decode([i]) for i in TOK(text)["input_ids"]]
            assert all(len(x) > 1 or not x.isalnum() or x in "abcd" for x in pieces), pieces


def test_real_questions_tokenise() -> None:
    path = DATA / "gsm8k/test.jsonl"
    if not path.is_file():
        pytest.skip(NO_DATA)
    for line in path.read_text(encoding="utf-8").splitlines()[:200]:
        question = json.loads(line)["question"]
        assert TOK.decode(TOK(question)["input_ids"]) == question


def test_shipped_tokenizer_is_the_one_that_the_code_builds() -> None:
    shipped = json.loads((FOLDER / "tokenizer.json").read_text(encoding="utf-8"))
    assert shipped["model"]["vocab"] == TOK.get_vocab()


def test_shipped_folder_loads_and_is_small() -> None:
    transformers = pytest.importorskip("transformers")
    model = transformers.AutoModelForCausalLM.from_pretrained(FOLDER)
    loaded = transformers.AutoTokenizer.from_pretrained(FOLDER)
    assert 1e6 <= sum(p.numel() for p in model.parameters()) <= 3e6
    assert sum(f.stat().st_size for f in FOLDER.iterdir()) <= 5 << 20
    assert loaded.eos_token_id == model.config.eos_token_id == TOK.eos_token_id
    assert loaded.pad_token_id == TOK.pad_token_id
    assert loaded("Question: 漢 3 ?")["input_ids"] == TOK("Question: 漢 3 ?")["input_ids"]


def test_the_card_says_what_is_imposed() -> None:
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert "What is imposed" in card
    assert all(family in card for family in ANNOTATIONS)


def test_training_problems_are_of_the_training_split() -> None:
    assert {p.split for p in TRAINED} == {Split.TRAIN}
    data.refuse_held_out(TRAINED)


@pytest.mark.parametrize("change", [{"split": Split.TEST}, {"split": Split.DEV}, {"task": "related"}])
def test_held_out_problems_stop_the_build(change: Any) -> None:
    with pytest.raises(SystemExit, match="held out"):
        data.refuse_held_out([*TRAINED, dataclasses.replace(TRAINED[0], **change)])


def test_an_annotation_that_the_family_may_not_have_stops_the_build() -> None:
    only_text = next(p for p in TRAINED if ANNOTATIONS[p.family] == ("text",))
    extra = {**only_text.solutions, "code": "print ( 1 )"}
    with pytest.raises(SystemExit, match="not annotated"):
        data.refuse_held_out([dataclasses.replace(only_text, solutions=extra)])


def test_documents_are_the_same_each_time_and_of_every_kind() -> None:
    made = data.documents(TRAINED, 50, 3)
    assert made == data.documents(TRAINED, 50, 3)
    assert {kind: {d.kind for d in ds} for kind, ds in made.items()} == {k: {k} for k in made}


def test_translation_drills_tell_the_same_steps_in_both_methods() -> None:
    drills = data.documents(TRAINED, 50, 3)["translation"]
    for into_code, into_text in zip(drills[::2], drills[1::2], strict=True):
        assert into_text.prompt.endswith(f"Python:\n{into_code.completion}\nText:\n")
        assert run_program(into_code.completion) == into_text.completion.rsplit(" ", 1)[1] + "\n"


def test_loss_is_on_completion_and_end_alone() -> None:
    training = pytest.importorskip("tools.training")
    document = Document("solve", "Question: x\nText:\n", "So 3 + 4 = 7 .")
    ((ids, on),) = training.encode(TOK, [document])
    assert TOK.decode([i for i, o in zip(ids, on, strict=True) if o]) == document.completion + TOK.eos_token


def test_of_facts_only_the_results_are_learnt() -> None:
    training = pytest.importorskip("tools.training")
    ((ids, on),) = training.encode(TOK, [Document("facts", "Text:\n", "So 3 + 4 = 7 .\nSo 6 / 2 = 3 .")])
    assert [TOK.decode([i]) for i, o in zip(ids, on, strict=True) if o] == [" 7", " 3"]


def test_muon_makes_singular_values_near_one() -> None:
    torch = pytest.importorskip("torch")
    from tools.muon import orthogonal

    values = torch.linalg.svdvals(orthogonal(torch.randn(3, 40, 24, generator=torch.Generator().manual_seed(0))))
    assert values.min() > 0.5
    assert values.max() < 1.5


def test_the_interpreter_runs_programs_as_python_does() -> None:
    for p in generate(500, 13):
        if "code" in p.solutions:
            assert run_program(p.solutions["code"]) == p.answer + "\n"
            assert passed(p, "code", p.solutions["code"])


def test_the_interpreter_knows_decimals() -> None:
    assert run_program("a = 8.5 - 2\nb = a / 2\nprint ( b )") == "3.25\n"


@pytest.mark.parametrize("source", ["print ( 1 // 0 )", "import os", "print ( 2 ** 9 )", "print (", "print ( b )"])
def test_the_interpreter_fails_what_it_does_not_know(source: str) -> None:
    assert not run_program(source)
