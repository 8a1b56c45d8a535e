"""The graph as Kubeflow Pipelines will get it: properties of the compiled IR."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import components

from mmst.core.config import parse, run_id
from mmst.kubernetes import quota
from mmst.pipelines.compile import compile_to
from mmst.stages import STEPS, stage

CLUSTER = {
    "pipeline_image": "registry/pipeline:7",
    "pull_policy": "Always",
    "pull_secrets": ["registry"],
    "secrets": ["mmst-s3"],
    "stage_secrets": ["mmst-mlflow"],
    "env": ["AWS_ENDPOINT_URL=http://s3:9000?a=b"],
    "node_selector": ["gpu=h100"],
    "tolerations": ["nvidia.com/gpu:NoSchedule", "team=ml:NoExecute"],
    "trainer_gpus": 2,
    "server_gpus": 1,
    "shm_gib": 0.5,
}
UNLABELLED = {"unlabelled": [{"format": "generated", "count": 9}]}
RECIPE = {
    "loop": {"rounds": 2, "controls": ["annotated-only", "no-translation"]},
    "cluster": CLUSTER,
    "problems": UNLABELLED,
}


def compiled(folder: Path, **recipe: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The IR, and what the pod of each executor gets beside it."""
    path = folder / "pipeline.yaml"
    compile_to(path, parse(RECIPE | recipe))
    spec, platform = yaml.safe_load_all(path.read_text())
    return spec, platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    return compiled(tmp_path_factory.mktemp("ir"))


@pytest.fixture(scope="module")
def ir(whole: tuple[dict[str, Any], dict[str, Any]]) -> dict[str, Any]:
    return whole[0]


@pytest.fixture(scope="module")
def pods(whole: tuple[dict[str, Any], dict[str, Any]]) -> dict[str, Any]:
    return whole[1]


def tasks(ir: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    dags = [ir["root"], *(c for c in ir["components"].values() if "dag" in c)]
    for dag in dags:
        yield from dag["dag"]["tasks"].items()


@pytest.mark.parametrize("problems", [{}, UNLABELLED])
@pytest.mark.parametrize("loop", [{"rounds": 1}, {"rounds": 3, "controls": ["annotated-only", "no-translation"]}])
def test_the_tasks_are_as_many_as_the_plan_says(tmp_path: Path, loop: dict[str, Any], problems: dict[str, Any]) -> None:
    spec, _ = compiled(tmp_path, loop=loop, problems=problems)

    def leaves(component: dict[str, Any]) -> int:
        if "dag" not in component:
            return 1
        return sum(leaves(spec["components"][t["componentRef"]["name"]]) for t in component["dag"]["tasks"].values())

    assert leaves(spec["root"]) == quota.tasks(parse({"loop": loop, "problems": problems}))


def test_without_unlabelled_problems_there_is_no_label_and_no_word_of_it(tmp_path: Path) -> None:
    compile_to(tmp_path / "pipeline.yaml", parse({}))
    assert "label" not in (tmp_path / "pipeline.yaml").read_text().replace("labels", "").replace("Label", "")


def test_what_is_translated_and_taught_is_what_the_labels_judge_and_translations_are_judged_by_them(
    ir: dict[str, Any],
) -> None:
    (one_round,) = (c["dag"]["tasks"] for n, c in ir["components"].items() if n == "comp-round")

    def giver(task: str, name: str) -> str:
        return str(one_round[task]["inputs"]["parameters"][name]["taskOutputParameter"]["producerTask"])

    assert giver("label", "checked") == "verify"
    asked = {"translate": ("checked", "problems"), "verify-2": ("problems",), "build-trainset": ("checked",)}
    assert {giver(task, name) for task, names in asked.items() for name in names} == {"label"}
    assert not any("measure-labels" in str(t) for name, t in one_round.items() if name != "measure-labels")


def test_no_task_that_runs_code_uses_the_cache_of_kfp(ir: dict[str, Any]) -> None:
    executors = {name for name, c in ir["components"].items() if "executorLabel" in c}
    cached = [
        n for n, t in tasks(ir) if t["componentRef"]["name"] in executors and t["cachingOptions"].get("enableCache")
    ]
    assert executors
    assert cached == []


def test_every_condition_compares_a_plain_string(ir: dict[str, Any]) -> None:
    conditions = [t["triggerPolicy"]["condition"] for _, t in tasks(ir) if "condition" in t.get("triggerPolicy", {})]
    assert len(conditions) >= 3
    for condition in conditions:
        assert condition.split("'")[1].endswith("-Output"), "kfp.local cannot read a condition on a named output"
        assert condition.count("'train'") + condition.count("'stop'") == 1


def test_the_report_is_made_whether_the_run_succeeds_or_fails(ir: dict[str, Any]) -> None:
    finish = ir["root"]["dag"]["tasks"]["finish"]
    assert finish["inputs"]["parameters"]["step"]["runtimeValue"]["constant"] == "report"
    assert finish["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"


def test_no_task_is_handed_a_checkpoint_or_data_as_an_artifact(ir: dict[str, Any]) -> None:
    taken = [c["inputDefinitions"] for c in ir["components"].values() if "artifacts" in c.get("inputDefinitions", {})]
    assert taken == []


def test_every_control_is_trained_and_measured_in_each_round(ir: dict[str, Any]) -> None:
    arms = [
        t["inputs"]["parameters"]["arm"]["runtimeValue"]["constant"]
        for name, t in tasks(ir)
        if t["componentRef"]["name"].startswith("comp-learn")
    ]
    assert sorted(arms) == sorted(["annotated-only", "no-translation"] * 2)


def test_the_steps_of_the_graph_are_those_that_are_declared(ir: dict[str, Any]) -> None:
    steps = [t["inputs"].get("parameters", {}).get("step") for _, t in tasks(ir)]
    assert {s["runtimeValue"]["constant"] for s in steps if s} == set(STEPS) - {"served_model"}


def test_a_component_takes_what_its_stage_reads(ir: dict[str, Any]) -> None:
    common = {"config", "round", "arm", "step"}
    for name, component in ir["components"].items():
        step = name.removeprefix("comp-").rstrip("-0123456789").replace("-", "_")
        if "executorLabel" in component and step in STEPS:
            taken = set(component["inputDefinitions"]["parameters"]) - common
            assert taken - {"controls"} == set(stage(step).reads()), step


def test_the_controls_of_a_round_are_edges_to_its_promotion(ir: dict[str, Any]) -> None:
    given = [
        t["inputs"]["parameters"]["controls"]["runtimeValue"]["constant"]
        for _, t in tasks(ir)
        if "controls" in t.get("inputs", {}).get("parameters", {})
    ]
    assert sorted(len(g.split()) for g in given) == [0, 2, 2]
    assert all(g.startswith("annotated-only={{$.inputs.parameters[") for g in given if g)


def test_components_install_nothing_and_stay_small(ir: dict[str, Any]) -> None:
    for executor in ir["deploymentSpec"]["executors"].values():
        command = " ".join(executor["container"]["command"])
        assert "pip install" not in command
    sizes = {p.name: len(p.read_text().splitlines()) for p in (Path(__file__).parents[2] / "components").glob("*.py")}
    assert max(sizes.values()) <= 40, sizes


def test_every_pod_has_the_image_the_secrets_and_the_labels_of_the_recipe(
    ir: dict[str, Any], pods: dict[str, Any]
) -> None:
    executors = ir["deploymentSpec"]["executors"]
    assert set(pods) == set(executors)
    for name, pod in pods.items():
        container = executors[name]["container"]
        assert container["image"] == "registry/pipeline:7"
        environment = {e["name"]: e["value"] for e in container["env"]}
        assert environment["AWS_ENDPOINT_URL"] == "http://s3:9000?a=b"
        assert pod["imagePullPolicy"] == "Always"
        assert [s["secretName"] for s in pod["imagePullSecret"]] == ["registry"]
        mounted = {s["secretName"]: s["mountPath"] for s in pod["secretAsVolume"]}
        assert mounted == {n: f"{environment['MMST_SECRETS']}/{n}" for n in ("mmst-s3", "mmst-mlflow")}
        assert [(v["constant"], v["mountPath"]) for v in pod["pvcMount"]] == [("mmst-scratch", "/mnt/mmst")]
        assert pod["podMetadata"]["labels"]["mmst.dev/run"] == run_id(parse(RECIPE))
        assert pod["podMetadata"]["labels"]["app.kubernetes.io/managed-by"] == "mmst"
        assert pod["securityContext"] == {"runAsNonRoot": True}
        assert {f["name"] for f in pod["fieldPathAsEnv"]} == {"POD_NAME", "POD_UID", "POD_NAMESPACE", "MMST_EXECUTION"}


def test_only_pods_that_train_or_sample_in_process_get_gpus_their_nodes_and_shared_memory(
    ir: dict[str, Any], pods: dict[str, Any]
) -> None:
    for name, pod in pods.items():
        resources = ir["deploymentSpec"]["executors"][name]["container"]["resources"]
        gpus = resources.get("accelerator", {}).get("resourceCount")
        stage = pod["podMetadata"]["labels"]["mmst.dev/stage"]
        if stage in ("train", "sample", "translate"):
            assert gpus == ("2" if stage == "train" else "1")
            assert resources["accelerator"]["resourceType"] == "nvidia.com/gpu"
            assert pod["nodeSelector"] == {"labels": {"gpu": "h100"}}
            assert pod["tolerations"] == [
                {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
                {"key": "team", "operator": "Equal", "value": "ml", "effect": "NoExecute"},
            ]
            (shm,) = pod["emptyDirMounts"]
            assert (shm["mountPath"], shm["medium"], shm["sizeLimit"]) == ("/dev/shm", "Memory", "512Mi")
        else:
            assert gpus is None
            assert not {"nodeSelector", "tolerations", "emptyDirMounts"} & set(pod)
        assert {"resourceCpuLimit", "resourceMemoryLimit"} <= set(resources)


def test_pods_that_only_ask_a_server_and_a_training_job_get_no_gpu(tmp_path: Path) -> None:
    spec, pods = compiled(tmp_path, sampling={"backend": "kserve"}, train={"launcher": "pytorchjob"})
    given = [e["container"]["resources"] for e in spec["deploymentSpec"]["executors"].values()]
    assert not any("accelerator" in resources for resources in given)
    assert not any("emptyDirMounts" in pod for pod in pods.values())


def test_kfp_s_own_reader_accepts_the_compiled_pipeline(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.yaml"
    compile_to(path, parse(RECIPE))
    loaded = components.load_component_from_file(str(path))
    assert loaded.pipeline_spec.pipeline_info.name == "mmst-run"
    assert set(loaded.platform_spec.platforms) == {"kubernetes"}


@pytest.mark.parametrize("rounds", [1, 3, pytest.param(10, marks=pytest.mark.slow)])
def test_every_round_is_there_once_and_stands_in_the_condition_of_the_one_before(tmp_path: Path, rounds: int) -> None:
    ir, _ = compiled(tmp_path, loop={"rounds": rounds})
    numbers = [
        task["inputs"]["parameters"]["round"]["runtimeValue"]["constant"]
        for _, task in tasks(ir)
        if task["componentRef"]["name"] == "comp-round" or task["componentRef"]["name"].startswith("comp-round-")
    ]
    assert sorted(numbers) == list(range(1, rounds + 1))
    stops = [t for _, t in tasks(ir) if "'stop'" in t.get("triggerPolicy", {}).get("condition", "")]
    assert len(stops) == rounds - 1


TAUGHT = {
    "teachers": {
        "big": {"base": "/models/big", "rounds": 2},
        "api": {"backend": "openai", "url": "http://x/v1", "served_model": "m", "revision": "1"},
        "file": {"backend": "recorded", "recorded": "/data/f.jsonl"},
    },
    "loop": {"rounds": 3, "controls": ["annotated-only"]},
    "problems": {},
}


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    return compiled(tmp_path_factory.mktemp("taught"), **TAUGHT)


def by_teacher(ir: dict[str, Any]) -> list[tuple[str, str]]:
    """The steps that stand at a teacher's place, with that place."""
    given = [t["inputs"].get("parameters", {}) for _, t in tasks(ir)]
    said = [{name: p[name].get("runtimeValue", {}).get("constant", "") for name in p} for p in given]
    return sorted((p["step"], p["arm"]) for p in said if p.get("arm", "").startswith("teacher:"))


def test_each_teacher_solves_and_rewrites_what_it_can_in_its_rounds(
    taught: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    solved, rewritten = ["sample", "verify"], ["translate", "verify-translations"]
    of = {"api": ["served_model", *solved, *rewritten], "big": ["base_model", *solved, *rewritten] * 2}
    of["file"] = ["served_model", *solved]
    assert by_teacher(taught[0]) == sorted((step, f"teacher:{name}") for name, steps in of.items() for step in steps)


def test_the_tasks_of_teachers_are_as_many_as_the_plan_says(taught: tuple[dict[str, Any], dict[str, Any]]) -> None:
    spec, _ = taught

    def leaves(component: dict[str, Any]) -> int:
        if "dag" not in component:
            return 1
        return sum(leaves(spec["components"][t["componentRef"]["name"]]) for t in component["dag"]["tasks"].values())

    assert leaves(spec["root"]) == quota.tasks(parse(RECIPE | TAUGHT))


def test_a_task_s_name_in_the_ui_says_which_teacher(taught: tuple[dict[str, Any], dict[str, Any]]) -> None:
    shown = {t["taskInfo"]["name"] for _, t in tasks(taught[0])}
    assert {"sample by big", "translate by api", "verify by file", "served_model by file"} <= shown


def test_every_training_set_of_a_round_is_chosen_from_what_all_who_write_in_it_made(
    taught: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    chosen = [t["inputs"]["parameters"] for name, t in tasks(taught[0]) if name.startswith("build-trainset")]
    texts = [[p[name]["runtimeValue"]["constant"] for name in ("checked", "translated")] for p in chosen if _text(p)]
    named = [[[item.partition("={{")[0] for item in text.split() if "={{" in item] for text in both] for both in texts]
    assert sorted(named) == [[["api", "big", "file"], ["api", "big"]]] * 2 + [[["big"], ["big"]]] * 2
    assert sum(not _text(p) for p in chosen) == 2, "the third round's are of the model itself alone"


def _text(parameters: dict[str, Any]) -> bool:
    return "runtimeValue" in parameters["checked"]


def test_a_teacher_s_pod_gets_a_gpu_only_where_its_model_runs_in_it(tmp_path: Path) -> None:
    spec, pods = compiled(tmp_path, sampling={"backend": "kserve"}, train={"launcher": "pytorchjob"}, **TAUGHT)
    given = [e["container"]["resources"] for e in spec["deploymentSpec"]["executors"].values()]
    assert not any("accelerator" in resources for resources in given)
    local = {"big": {"base": "/models/big", "backend": "local"}}
    spec, pods = compiled(
        tmp_path, sampling={"backend": "kserve"}, train={"launcher": "pytorchjob"}, teachers=local, loop={}, problems={}
    )
    executors = spec["deploymentSpec"]["executors"]
    of = [pods[n]["podMetadata"]["labels"]["mmst.dev/stage"] for n in pods if _gpu(executors[n])]
    assert sorted(of) == ["sample", "translate"]


def _gpu(executor: dict[str, Any]) -> bool:
    return "accelerator" in executor["container"]["resources"]


def test_all_tasks_of_a_run_with_teachers_belong_to_that_run(taught: tuple[dict[str, Any], dict[str, Any]]) -> None:
    runs = {pod["podMetadata"]["labels"]["mmst.dev/run"] for pod in taught[1].values()}
    assert runs == {run_id(parse(RECIPE | TAUGHT))}
