"""The plan: its figures are those of torch, DeepSpeed, vLLM and of a run; what it refuses, what it names would fit."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from mmst import recipes
from mmst.cli import app
from mmst.core.config import Config, TrainConfig, override, parse
from mmst.core.errors import ConfigError, ModelError
from mmst.core.records import to_data
from mmst.planning import hardware
from mmst.planning.architecture import Architecture, architecture
from mmst.planning.fit import misfits
from mmst.planning.inputs import FOLDER, model_and_tokens, names
from mmst.planning.memory import least_ranks, states, training_bytes
from mmst.planning.plan import Model, Plan, plan
from mmst.planning.time import train
from mmst.planning.work import SOLVED

DGX = hardware.load("8xA100-80GB")
PUBLISHED = {
    "bloom": 176_247_271_424,  # the model card of bigscience/bloom
    "Llama-2-7b-hf": 6_738_415_616,
    "Llama-2-70b-hf": 68_976_648_192,
    "Qwen2-7B": 7_615_616_512,
    "Qwen2.5-7B": 7_615_616_512,
}


def shape(name: str) -> Architecture:
    return architecture(json.loads((FOLDER / f"{name}.json").read_text()), name)


@functools.cache
def shipped_on_meta(name: str) -> Any:
    return on_meta(json.loads((FOLDER / f"{name}.json").read_text()))


def on_meta(config: dict[str, Any]) -> Any:
    """torch's own model of a configuration, without memory for its weights."""
    settings = dict(config)
    kind = settings.pop("model_type")
    with torch.device("meta"):
        return transformers.AutoModelForCausalLM.from_config(transformers.AutoConfig.for_model(kind, **settings))


# --- the model --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", names())
def test_shipped_shapes_have_the_parameters_that_torch_counts_and_their_authors_publish(name: str) -> None:
    counted = sum(p.numel() for p in shipped_on_meta(name).parameters())
    assert shape(name).parameters == counted == PUBLISHED[name]


SMALL = {"hidden_size": 64, "vocab_size": 100}
OTHERS = (
    {"model_type": "llama", "num_key_value_heads": 2, "tie_word_embeddings": True},
    {"model_type": "llama", "attention_bias": True, "mlp_bias": True, "head_dim": 32},
    {"model_type": "mistral", "num_key_value_heads": 2},
    {"model_type": "qwen2", "num_key_value_heads": 4, "tie_word_embeddings": True},
    {"model_type": "qwen3", "num_key_value_heads": 2, "head_dim": 16},
    {"model_type": "bloom", "n_layer": 3, "n_head": 4},
)


@pytest.mark.parametrize("settings", OTHERS, ids=lambda s: s["model_type"])
def test_parameters_are_those_of_torch_whatever_the_configuration_says(settings: dict[str, Any]) -> None:
    more = (
        {}
        if settings["model_type"] == "bloom"
        else dict(num_hidden_layers=3, num_attention_heads=4, intermediate_size=96)
    )
    config = SMALL | more | settings
    assert architecture(config, "test").parameters == sum(p.numel() for p in on_meta(config).parameters())


def test_the_shipped_model_has_the_parameters_of_its_file() -> None:
    model, count = model_and_tokens("mmst:tiny")
    assert 2 * model.shape.parameters == pytest.approx(model.weights_bytes, rel=0.01)  # stored in bfloat16
    assert count(["Question: 3 + 4"]) == [5]


def test_the_cache_of_a_token_is_what_vllm_publishes() -> None:
    """ "the KV cache of a single token demands 800 KB": OPT-13B in fp16, arXiv 2309.06180, section 3."""
    opt = replace(shape("Llama-2-7b-hf"), hidden=5120, layers=40, heads=40, kv_heads=40, head_size=128)
    assert opt.kv_bytes(2) == 800 * 1024


def test_grouped_queries_shrink_the_cache_by_their_number() -> None:
    llama = shape("Llama-2-70b-hf")
    assert 8 * llama.kv_bytes(2) == replace(llama, kv_heads=64).kv_bytes(2)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("settings", [OTHERS[0], OTHERS[2], OTHERS[3], OTHERS[5]], ids=lambda s: s["model_type"])
def test_activations_are_what_torch_keeps_for_the_backward_pass(settings: dict[str, Any], dtype: str) -> None:
    rows, row = 4, 96
    more = (
        {}
        if settings["model_type"] == "bloom"
        else dict(num_hidden_layers=3, num_attention_heads=4, intermediate_size=320)
    )
    config = {"hidden_size": 128, "vocab_size": 50} | more | settings
    kind = config["model_type"]
    model = transformers.AutoModelForCausalLM.from_config(
        transformers.AutoConfig.for_model(kind, **{k: v for k, v in config.items() if k != "model_type"})
    ).to(getattr(torch, dtype))
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in weights:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        model.base_model(input_ids=torch.zeros(rows, row, dtype=torch.long), use_cache=False)
    held = sum(t.untyped_storage().nbytes() for t in kept.values())
    size = torch.finfo(getattr(torch, dtype)).bits // 8
    assert architecture(config, "test").activation_bytes(size, row) * rows * row == pytest.approx(held, rel=0.1)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"model_type": "mamba"}, "mamba"),
        ({}, "None"),
        ({"model_type": "llama", "hidden_size": 8}, "num_attention_heads"),
    ],
)
def test_a_shape_that_cannot_be_counted_is_refused_by_name(config: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        architecture(config, "config.json")


# --- memory -----------------------------------------------------------------------------------


@pytest.mark.parametrize("ranks", [8, 64])
@pytest.mark.parametrize("zero", [2, 3])
@pytest.mark.parametrize("name", ["Qwen2-7B", "Llama-2-70b-hf", "bloom"])
def test_states_are_those_of_deepspeeds_own_estimator(name: str, zero: int, ranks: int) -> None:
    from deepspeed.runtime.zero.stage3 import estimate_zero3_model_states_mem_needs
    from deepspeed.runtime.zero.stage_1_and_2 import estimate_zero2_model_states_mem_needs

    model = shipped_on_meta(name)
    total = sum(p.numel() for p in model.parameters())
    largest = max(sum(p.numel() for p in m.parameters(recurse=False)) for m in model.modules())
    where = {"num_gpus_per_node": 8, "num_nodes": ranks // 8, "cpu_offload": False}
    if zero == 2:
        _, theirs = estimate_zero2_model_states_mem_needs(total, **where)
    else:
        _, theirs, _ = estimate_zero3_model_states_mem_needs(total, largest, cpu_offload_params=False, **where)
    settings = replace(Config().train, ranks=ranks, zero=zero, precision="bfloat16")
    assert states(shape(name), settings).total == pytest.approx(theirs, rel=0.001)


@pytest.mark.parametrize(("zero", "offload"), [(2, "optimizer"), (3, "optimizer"), (3, "parameters")])
def test_what_is_offloaded_is_what_deepspeeds_own_estimator_moves(zero: int, offload: Any) -> None:
    from deepspeed.runtime.zero.stage3 import estimate_zero3_model_states_mem_needs
    from deepspeed.runtime.zero.stage_1_and_2 import estimate_zero2_model_states_mem_needs

    a = shape("Llama-2-70b-hf")
    where = {"num_gpus_per_node": 8, "num_nodes": 1, "cpu_offload": True, "additional_buffer_factor": 1.0}
    if zero == 2:
        _, gpu = estimate_zero2_model_states_mem_needs(a.parameters, **where)
        node = 16 * a.parameters  # theirs has no ranks but one where there are more than four
    else:
        moves = offload == "parameters"
        node, gpu, _ = estimate_zero3_model_states_mem_needs(
            a.parameters, a.largest_module_parameters, cpu_offload_params=moves, **where
        )
    found = states(a, replace(Config().train, ranks=8, zero=zero, precision="bfloat16", offload=offload))
    assert found.total == pytest.approx(gpu, rel=0.001)
    assert 8 * found.moved == pytest.approx(node, rel=0.001)


def test_lora_adapters_are_counted_as_peft_makes_them() -> None:
    import peft

    from mmst.planning.memory import lora_parameters

    for settings in (OTHERS[0], OTHERS[3], OTHERS[5]):
        more = (
            {}
            if settings["model_type"] == "bloom"
            else dict(num_hidden_layers=2, num_attention_heads=4, intermediate_size=96)
        )
        config = SMALL | more | settings
        adapted = peft.get_peft_model(
            on_meta(config), peft.LoraConfig(r=8, target_modules="all-linear", task_type="CAUSAL_LM")
        )
        trained = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
        assert lora_parameters(architecture(config, "test"), TrainConfig(lora_rank=8)) == trained


def test_lora_adapters_of_some_layers_are_counted_alone() -> None:
    from mmst.planning.memory import lora_parameters

    heads = {"num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96}
    a = architecture(SMALL | heads | OTHERS[3], "test")
    each = [
        lora_parameters(a, TrainConfig(lora_rank=8, lora_targets=targets)) for targets in (("q_proj",), ("v_proj",))
    ]
    assert lora_parameters(a, TrainConfig(lora_rank=8, lora_targets=("q_proj", "v_proj"))) == sum(each)
    with pytest.raises(ConfigError, match="did you mean q_proj"):
        lora_parameters(a, TrainConfig(lora_rank=8, lora_targets=("qproj",)))


# --- what fits --------------------------------------------------------------------------------


def recipe(**sections: Any) -> Config:
    """A small recipe on generated problems, with sections changed."""
    source = {"format": "generated", "count": 30, "split": "train"}
    problems = {"train": [source], "test": [{"format": "generated", "count": 200, "seed": 2, "split": "test"}]}
    return parse({"problems": problems, "sampling": {"max_tokens": 48}} | sections)


def by_words(texts: Any) -> list[int]:
    return [len(t.split()) for t in texts]


def large(name: str, **settings: Any) -> Config:
    cluster = {"server_gpus": 8, "server_runtime": "vllm"}
    trained = {"launcher": "pytorchjob", "precision": "bfloat16", "batch_tokens": 1024} | settings
    sampling = {"backend": "kserve", "max_tokens": 48}
    return recipe(model={"base": name, "dtype": "bfloat16"}, train=trained, cluster=cluster, sampling=sampling)


def test_a_model_that_fits_is_not_refused() -> None:
    config = replace(large("Qwen2-7B", ranks=8, zero=3), cluster=replace(Config().cluster, server_gpus=1))
    assert plan(config, Model(shape("Qwen2-7B"), "Qwen2-7B"), DGX, by_words).misfits == ()


def test_what_holds_on_one_gpu_less_than_it_needs_is_refused_and_each_remedy_fits() -> None:
    config = large("Qwen2-7B", ranks=1, batch_tokens=8192)
    found = plan(config, Model(shape("Qwen2-7B"), "Qwen2-7B"), DGX, by_words)
    training = next(m for m in found.misfits if m.what.startswith("training needs"))
    assert training.remedies
    for remedy in training.remedies:
        settings = [s.split(" (")[0] for s in remedy.split(" with ")]
        changed = recipes.override_all({"train": {"launcher": "pytorchjob", "precision": "bfloat16"}}, settings)
        kept = {"batch_tokens": 8192, "ranks": 1}
        trained = parse({"train": kept | changed["train"]}).train
        assert training_bytes(shape("Qwen2-7B"), trained, DGX, 100) <= DGX.usable_bytes, remedy


def test_a_training_that_only_sharding_saves_is_told_so() -> None:
    config = large("Llama-2-7b-hf", ranks=8, zero=1)
    found = misfits(shape("Llama-2-7b-hf"), config, replace(DGX, gpu_memory_gib=40), 200, 100, 8)
    assert any("train.zero=3" in remedy for m in found for remedy in m.remedies)


def test_a_server_with_too_few_gpus_is_told_how_many_would_do() -> None:
    config = large("Llama-2-70b-hf", ranks=8, zero=3)
    found = misfits(shape("Llama-2-70b-hf"), config, DGX, 200, 100, 1)
    assert any("cluster.server_gpus=2 (tensor parallelism)" in m.remedies for m in found)


def test_more_ranks_than_gpus_are_refused_with_the_nodes_that_it_takes() -> None:
    found = misfits(shape("Qwen2-7B"), large("Qwen2-7B", ranks=64, zero=3), DGX, 200, 100, 1)
    assert any("8 nodes of 8 GPUs" in m.remedies for m in found)


def test_prompts_longer_than_the_context_are_refused() -> None:
    found = misfits(shape("bloom"), large("bloom", ranks=8, zero=3), DGX, 2049, 100, 8)
    assert any("2049 tokens" in m.what and "holds 2048" in m.what for m in found)


def test_the_fewest_gpus_for_training_hold_it_and_one_less_do_not() -> None:
    a, t = shape("bloom"), replace(large("bloom", zero=3).train, gradient_checkpointing=True)
    least = least_ranks(a, t, DGX, 100)
    held = [training_bytes(a, replace(t, ranks=n), DGX, 100) for n in (least, least - 1)]
    assert held[0] <= DGX.usable_bytes < held[1]


def test_gradient_checkpointing_keeps_a_layers_input_and_takes_a_third_more_work() -> None:
    a, t = shape("Llama-2-7b-hf"), large("Llama-2-7b-hf", ranks=8, zero=3)
    again = replace(t, train=replace(t.train, gradient_checkpointing=True))
    assert a.activation_bytes(2, 100, recomputed=True) == 32 * 2 * 4096 + a.layer_activation_bytes(2, 100)
    assert training_bytes(a, again.train, DGX, 100) < training_bytes(a, t.train, DGX, 100)
    assert train(a, t, DGX).rate == pytest.approx(train(a, again, DGX).rate * 4 / 3)


def test_fewer_gpus_hold_more_of_the_states_each() -> None:
    a, t = shape("bloom"), large("bloom", zero=3).train
    held = [training_bytes(a, replace(t, ranks=n), DGX, 100) for n in (8, 16, 64, 512)]
    assert held == sorted(held, reverse=True)


# --- work, time, money ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def demo() -> Plan:
    model, count = model_and_tokens("mmst:tiny")
    return plan(recipes.load("demo"), model, hardware.load("laptop-2-cores"), count, price=6.0)


def test_samples_are_problems_times_methods_times_k_and_held_out_ones_once_an_arm(demo: Plan) -> None:
    learn, held = demo.value("problems, train"), demo.value("problems, heldout")
    assert demo.value("samples to learn from") == learn * 2 * 4
    assert demo.value("samples held out") == held * 2 * (1 + 3)


def test_every_figure_names_its_inputs(demo: Plan) -> None:
    assert all(f.formula and f.unit for f in demo.figures)
    assert demo.misfits == ()


def test_money_is_price_times_hours_and_absent_without_a_price(demo: Plan) -> None:
    assert demo.value("computing") == pytest.approx(6.0 * demo.value("in all", "time") / 3600)
    without = plan(recipe(), *_tiny(), by_words)
    assert not [f for f in without.figures if f.group == "money"]


def _tiny() -> tuple[Model, hardware.Hardware]:
    return model_and_tokens("mmst:tiny")[0], hardware.load("laptop-2-cores")


def test_without_annotated_solutions_the_length_is_assumed_and_said_to_be(tmp_path: Path) -> None:
    lines = [{"question": f"What is {i} + {i}?", "answer": str(2 * i)} for i in range(30)]
    for name, part in (("train", lines[:20]), ("test", lines[20:])):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in part))
    sources = {n: [{"format": "jsonl", "path": str(tmp_path / f"{n}.jsonl")}] for n in ("train", "test")}
    config = parse({"problems": sources | {"near_duplicate": 1.0}, "sampling": {"max_tokens": 40}})
    found = plan(config, *_tiny(), by_words)
    figure = next(f for f in found.figures if f.name == "tokens of a completion, code")
    assert figure.value == 20
    assert "assumed" in figure.formula


def test_problems_of_one_method_are_counted_by_that_alone() -> None:
    related = {"format": "generated", "count": 40, "seed": 3, "task": "related"}
    both, text = (
        plan(parse(override(to_data(recipe()), {"problems.related": [related | more]})), *_tiny(), by_words)
        for more in ({}, {"methods": ["text"]})
    )
    assert both.value("samples held out") - text.value("samples held out") == 2 * 40


def test_twice_the_rounds_are_twice_the_checkpoints() -> None:
    one, two = (plan(recipe(loop={"rounds": n}), *_tiny(), by_words) for n in (1, 2))
    assert two.value("checkpoints") == 2 * one.value("checkpoints")


def test_unlabelled_problems_cost_the_samples_that_training_problems_do() -> None:
    known = recipe()
    unknown = replace(known, problems=replace(known.problems, train=(), unlabelled=known.problems.train))
    one, two = (plan(config, *_tiny(), by_words) for config in (known, unknown))
    assert one.value("samples in all") == two.value("samples in all") > 0
    assert two.value("problems, unlabelled") == one.value("problems, train")


# --- hardware and command ---------------------------------------------------------------------


@pytest.mark.parametrize("name", hardware.SHIPPED.names())
def test_shipped_hardware_says_where_its_figures_are_from(name: str) -> None:
    hardware.load(name)
    text = (hardware.SHIPPED.folder / f"{name}.yaml").read_text()
    for key in ("cores", "memory_gib", "check_s"):
        line = next(line for line in text.splitlines() if line.startswith(f"{key}:"))
        assert "#" in line or text.split(line)[0].rstrip().splitlines()[-1].startswith("#"), line


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nodes: 0\ncores: 1\nmemory_gib: 4\n", "nodes"),
        ("nodes: 1\ncores: 1\nmemory_gib: -4\n", "memory_gib"),
        ("nodes: 1\ncores: 1\nmemory_gib: 4\n", "speed"),
        ("nodes: 1\ncores: 1\nmemory_gib: 4\ntflops: 3\n", "tflops"),
        ("nodes: 1\ncores: 1\nmemory_gib: 4\ngpus: 8\n", "gpu_memory_gib"),
        ("nodes: 1\ncores: 1\nmemory_gib: 4\nusable_share: 90\n", "usable_share"),
        ("- 1\n", "mapping"),
        ("a: [\n", "YAML"),
    ],
)
def test_a_hardware_file_that_cannot_be_used_is_one_clear_error(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "h.yaml").write_text(text)
    with pytest.raises(ConfigError, match=said):
        hardware.load(str(tmp_path / "h.yaml"))


@pytest.fixture
def mmst(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    monkeypatch.setattr(app, "stop_on_signals", lambda: None)

    def run(*arguments: str) -> tuple[int, str, str]:
        code = app.main(["plan", *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


SMALLER = ("-s", "problems.train.0.count=30", "-s", "problems.test.0.count=100", "-s", "problems.annotated.0.count=50")


@pytest.mark.parametrize("named", [("--recipe", "demo"), ("-r", "demo")])
def test_the_recipe_is_named_as_other_commands_name_it(
    named: tuple[str, str], mmst: Callable[..., tuple[int, str, str]]
) -> None:
    assert mmst(*named, *SMALLER, "--json") == mmst("demo", *SMALLER, "--json")


@pytest.mark.parametrize("named", [(), ("demo", "--recipe", "demo")])
def test_one_recipe_is_planned(named: tuple[str, ...], mmst: Callable[..., tuple[int, str, str]]) -> None:
    code, _, err = mmst(*named)
    assert (code, err.startswith("mmst: one recipe is planned")) == (2, True)


def test_the_command_prints_every_group_and_the_same_as_json(mmst: Callable[..., tuple[int, str, str]]) -> None:
    code, table, _ = mmst("demo", *SMALLER, "--price", "2")
    _, text, _ = mmst("demo", *SMALLER, "--price", "2", "--json")
    figures = json.loads(text)["figures"]
    assert code == 0
    for name in {f["group"] for f in figures} | {f["name"] for f in figures}:
        assert name in table
    assert {f["group"] for f in figures} >= {"model", "work", "time", "storage", "money"}


def test_who_knows_how_much_is_solved_says_so_and_only_what_follows_from_it_changes(
    mmst: Callable[..., tuple[int, str, str]],
) -> None:
    def figures(*more: str) -> dict[str, float]:
        _, text, _ = mmst("demo", *SMALLER, *more, "--json")
        return {f["name"]: f["value"] for f in json.loads(text)["figures"] if f["group"] == "work"}

    usual, half, most = figures(), figures("--solved", "0.5"), figures("--solved", "1")
    assert usual == figures("--solved", str(SOLVED))
    assert (half["translations"], usual["translations"]) == (0.5 * most["translations"], SOLVED * most["translations"])
    assert half["samples to learn from"] == most["samples to learn from"]
    assert half["tokens written"] < usual["tokens written"] < most["tokens written"]


def test_the_help_says_what_is_assumed(mmst: Callable[..., tuple[int, str, str]]) -> None:
    assert f"{SOLVED}, about" in " ".join(mmst("--help")[1].replace("│", " ").split())


def test_what_cannot_fit_ends_with_2_and_names_what_would(mmst: Callable[..., tuple[int, str, str]]) -> None:
    code, table, said = mmst("demo", *SMALLER, "--model-config", "Llama-2-7b-hf")
    assert code == 2
    assert "training needs" in said
    assert "Remedy" in said
    assert "in all, per machine" in table


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--hardware", "nowhere"], "laptop-2-cores"),
        (["--model-config", "nothing"], "Qwen2-7B"),
        (["-s", "model.base=/models/unknown"], "--model-config"),
    ],
)
def test_an_unknown_name_is_refused_with_those_that_there_are(
    mmst: Callable[..., tuple[int, str, str]], arguments: list[str], said: str
) -> None:
    code, _, error = mmst("demo", *SMALLER, *arguments)
    assert code == 2
    assert said in error


def test_a_teacher_s_tokens_and_memory_are_counted_beside_the_model_s() -> None:
    model, here = _tiny()
    alone = plan(recipe(), model, here, by_words)
    config = recipe(teachers={"big": {"base": "mmst:tiny", "k": 8}})
    beside = plan(config, model, here, by_words, teachers={"big": model})
    learn = beside.value("problems, train")
    own = beside.value("translations")
    assert beside.value("samples by big") == learn * 2 * 8 + own
    assert beside.value("tokens written by big") > 0
    assert beside.value("in all, per machine, big") == alone.value("in all, per machine", "serving memory")
    assert beside.value("in all", "time") > alone.value("in all", "time")


def test_only_those_from_whom_an_arm_learns_are_counted() -> None:
    model, here = _tiny()
    teachers = {"big": {"base": "mmst:tiny"}, "idle": {"base": "mmst:tiny"}}
    arms = {"ekt": {"writers": ["big"]}}
    config = recipe(teachers=teachers, arms=arms, loop={"arm": "ekt", "controls": []})
    found = plan(config, model, here, by_words, teachers=dict.fromkeys(teachers, model))
    values = {f.name: f.value for f in found.figures}
    assert values["samples to learn from"] == values["translations"] == 0
    assert values["samples by big"] > 0
    assert not [name for name in values if "idle" in name]
    assert values["samples in all"] == values["samples held out"] > 0


def test_a_server_s_tokens_are_counted_and_no_memory_here() -> None:
    api = {"backend": "openai", "url": "http://x/v1", "most_tokens": 5000}
    found = plan(recipe(teachers={"api": api}), *_tiny(), by_words)
    written = next(f for f in found.figures if f.name == "tokens written by api")
    assert written.value > 0
    assert "stops at 5,000" in written.formula
    assert not [f for f in found.figures if f.group != "work" and "api" in f.name]


def test_a_teacher_that_does_not_fit_is_refused_by_its_own_keys() -> None:
    big, _ = model_and_tokens("bloom")
    found = plan(recipe(teachers={"big": {"base": "/m"}}), *_tiny(), by_words, teachers={"big": big})
    assert [m.what.partition(":")[0] for m in found.misfits] == ["teachers.big"]
