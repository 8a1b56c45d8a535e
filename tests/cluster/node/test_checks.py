"""Programs checked by Jobs under gVisor: the same verdicts as on one machine, whatever happens to the pods."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bench import programs as mixed
from mmst.core.errors import SandboxError, UserError
from mmst.core.ports import Execution, Limits, Program
from mmst.kubernetes.client import Cluster
from mmst.kubernetes.kinds import CONFIG_MAP, JOB, POD, Kind, Object
from mmst.sandbox.guest.shard import SLOWEST
from mmst.sandbox.providers.gvisor import GvisorSandbox
from mmst.sandbox.providers.kubernetes_job_objects import check_job
from mmst.sandbox.work import Waiting, Work
from tests.attacks.corpus import Attack, attacks, complaints
from tests.attacks.neighbours import PROBE, Neighbours
from tests.cluster.node.sandboxes import SETTINGS, answers, jobs

NODE = Kind("v1", "Node", "nodes", namespaced=False)

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]
AMPLE = Limits(timeout=20.0)


def prints(n: int) -> list[Program]:
    """Programs that the evaluator does not finish, so that each has a process of its own."""
    return [Program(id=str(i), source=f"import sys\nsys.stdout.write(str({i} * 3))") for i in range(n)]


def all_right(found: dict[str, Execution], n: int) -> bool:
    """Whether `prints(n)` ended as they must."""
    return len(found) == n and all((e.exit_status, e.stdout) == ("ok", str(int(e.id) * 3)) for e in found.values())


# --- the same verdicts --------------------------------------------------------------------------


def test_a_mixed_set_ends_as_on_one_machine(sandbox_namespace: Cluster) -> None:
    cases = [*mixed.mixed(150, seed=5), *mixed.good(50, seed=6)]
    asked = [Program(id=f"{i}", source=case.source) for i, case in enumerate(cases)]
    limits = Limits(timeout=2.0, memory_mib=256, output_kib=64)
    # With less CPU what fills the memory here runs out of time there.
    there = answers(jobs(sandbox_namespace, checker_cpu="700m"), asked, limits)
    with GvisorSandbox(2) as box:
        here = {e.id: e for e in box.run(asked, limits)}
    assert there.keys() == here.keys() == {p.id for p in asked}
    for name, e in there.items():
        assert (e.exit_status, e.stdout) == (here[name].exit_status, here[name].stdout), cases[int(name)].source
        assert cases[int(name)].exit_status in (e.exit_status, None), cases[int(name)]


@pytest.mark.parametrize(
    ("source", "outcome", "detail"),
    [
        ("import sys; sys.exit(3)", "crashed", "exit status 3"),
        ("import os; os.abort()", "crashed", "killed by SIGABRT"),
        ("import ctypes; ctypes.string_at(0)", "crashed", "killed by SIGSEGV"),
    ],
)
def test_ways_to_end(sandbox_namespace: Cluster, source: str, outcome: str, detail: str) -> None:
    [e] = answers(jobs(sandbox_namespace), [Program(id="one", source=source)], AMPLE).values()
    assert (e.exit_status, e.detail) == (outcome, detail)


def test_texts_of_every_kind_come_through(sandbox_namespace: Cluster) -> None:
    texts = ["€ 😀 \0 |\r\x1b", "", "\n\n", "x" * 65_000, "\u2028\u2029\x85"]
    asked = [
        Program(id=str(i), source="import sys; print(sys.stdin.read(), end='')", stdin=t) for i, t in enumerate(texts)
    ]
    asked.append(Program(id="lone", source="print('\ud800')"))
    found = answers(jobs(sandbox_namespace), asked, AMPLE)
    assert [found[str(i)].stdout for i in range(len(texts))] == texts
    assert found["lone"].exit_status == "crashed"


def test_more_output_than_a_log_holds(sandbox_namespace: Cluster) -> None:
    n = 60  # of 64 KiB: 4 MiB, in escapes six times as much
    asked = [Program(id=str(i), source=f"import sys\nsys.stdout.write(chr(1) * 65000 + '{i}')") for i in range(n)]
    found = answers(jobs(sandbox_namespace), asked, AMPLE)
    assert {name: e.stdout for name, e in found.items()} == {str(i): chr(1) * 65000 + str(i) for i in range(n)}


def test_ids_must_be_unique(sandbox_namespace: Cluster) -> None:
    with pytest.raises(UserError, match="same id"):
        answers(jobs(sandbox_namespace), [Program(id="a", source="1"), Program(id="a", source="1")], AMPLE)


def test_nothing_to_run_asks_nothing_of_the_server(sandbox_namespace: Cluster) -> None:
    box = jobs(sandbox_namespace.beside(sandbox_namespace.namespace))
    assert answers(box, [], AMPLE) == {}
    assert box.calls == 0


# --- hostile programs ---------------------------------------------------------------------------


def test_every_attack_harms_nobody_and_leaves_nothing(sandbox_namespace: Cluster) -> None:
    """The whole corpus, each attack between victims and followed by probes in the same pod."""
    box = jobs(sandbox_namespace)
    [first] = answers(box, [Program(id="clean", source=PROBE)], AMPLE).values()
    assert first.stdout.endswith("end\n"), first.stderr
    clean, wrong = without_name(first.stdout), []
    by_limits: dict[Limits, list[Attack]] = {}
    for attack in attacks():
        by_limits.setdefault(attack.limits, []).append(attack)
    for limits, group in by_limits.items():
        asked, neighbours = [], {attack.name: Neighbours(clean) for attack in group}
        for attack in group:
            beside = neighbours[attack.name]
            reads = sandbox_namespace.namespace if attack.reads == "host" else attack.reads
            those = [beside.victim(0.0), Program(id="attack", source=attack.source, stdin=reads), beside.probe()]
            those += [beside.victim(0.0), *beside.others()]
            asked += [Program(id=f"{attack.name}/{p.id}", source=p.source, stdin=p.stdin) for p in those]
        found = answers(box, asked, limits)
        for attack in group:
            mine = {name.split("/")[1]: e for name, e in found.items() if name.split("/")[0] == attack.name}
            mine = {name: replaced(e) if name.startswith("probe") else e for name, e in mine.items()}
            seen = replace(mine["attack"], stdout=KUBELETS.sub("", mine["attack"].stdout).replace(TIMES, "", 1))
            own = [] if attack.name in OTHERWISE else complaints(attack, seen, slower=SLOWEST)
            said = [*own, *neighbours[attack.name].complaints(mine)]
            wrong += [f"{attack.name}: {what}" for what in said]
    assert not wrong, "\n".join(wrong)


OTHERWISE = {
    "kernel_log": "newer gVisor has a boot_id, made up by itself; that it is not the host's is tested here",
    "system_calls_not_listed": "gVisor's systrap ends a process that uses the 32-bit-pointer calls by SIGILL",
}
"""Attacks that end otherwise in a pod, without harm, and why."""
KUBELETS = re.compile(r"GOT \S*/etc/(hostname|resolv\.conf)\n")
"""What the kubelet puts into every container: the pod's own name, and the nameserver that the Job writes."""
TIMES = "GOT /dev/shm\n"
"""Once: newer gVisor lets anyone set the times of a read-only tmpfs, though nothing can be written in it."""


def test_what_the_kubelet_puts_into_a_pod_says_nothing(sandbox_namespace: Cluster) -> None:
    source = "for name in 'hostname', 'resolv.conf': print(open('/etc/' + name).read())"
    [e] = answers(jobs(sandbox_namespace), [Program(id="one", source=source)], AMPLE).values()
    assert re.fullmatch(r"check-[0-9a-f]{16}-\d+(-\w+)?\s+nameserver 127\.0\.0\.1\s+", e.stdout), e.stdout


def test_the_boot_id_in_a_pod_is_not_the_nodes(sandbox_namespace: Cluster) -> None:
    source = "try: print(open('/proc/sys/kernel/random/boot_id').read())\nexcept OSError: print('none')"
    [e] = answers(jobs(sandbox_namespace), [Program(id="one", source=source)], AMPLE).values()
    own = sandbox_namespace.list(NODE)
    assert e.exit_status == "ok"
    assert e.stdout.strip() not in [node["status"]["nodeInfo"]["bootID"] for node in own]


def without_name(text: str) -> str:
    """A probe's output without what differs from pod to pod: its name, and the addresses in /etc."""
    return re.sub(r"check-[0-9a-f]{16}-\d+(-\w+)?", "POD", text)


def replaced(e: Execution) -> Execution:
    """The execution of a probe, comparable from pod to pod."""
    return replace(e, stdout=without_name(e.stdout))


ENFORCED = 60
"""Seconds that whoever enforces policies may take to learn of a new pod: on a busy node it is not done at once."""
REACHING = """
import socket, time
for _ in range({tries}):
    try:
        socket.create_connection({address!r}, timeout=5)
    except OSError:
        print('DENIED')
        break
    time.sleep(1)
else:
    print('REACHED')
"""


def test_the_network_is_denied_there_and_open_elsewhere(
    sandbox_namespace: Cluster, open_namespace: Cluster, web: tuple[str, int]
) -> None:
    host, port = web
    work = [[Work(Program(id="one", source="1"), AMPLE)]]
    for cluster, reached, tries in ((open_namespace, True, 1), (sandbox_namespace, False, ENFORCED)):
        source = REACHING.format(tries=tries, address=(host, port))
        body = check_job("reach", work, SETTINGS, "test")
        container = body["spec"]["template"]["spec"]["containers"][0]
        container |= {"command": ["/usr/bin/python3", "-c", source], "volumeMounts": []}
        body["spec"]["template"]["spec"]["volumes"] = []
        cluster.create(JOB, body)
        pod = ended(cluster, "reach")
        said = (cluster.log(pod["metadata"]["name"]) or b"").decode()
        cluster.delete(JOB, "reach")
        assert ("REACHED" in said) == reached, said


# --- what happens to pods is no verdict ---------------------------------------------------------


def ended(cluster: Cluster, job: str) -> Object:
    """The first finished pod of a Job."""
    for state, _ in cluster.follow(POD, {"batch.kubernetes.io/job-name": job}):
        for pod in state.values():
            if pod["status"].get("phase") in ("Succeeded", "Failed"):
                return pod
    raise AssertionError("unreachable")


@contextlib.contextmanager
def meanwhile(cluster: Cluster, act: Callable[[Object], None], times: int) -> Iterator[None]:
    """Do something to running check pods, `times` of them at most, within the block; to one at least."""
    done: set[str] = set()
    failed: list[Exception] = []
    over = threading.Event()

    def run() -> None:
        own = cluster.beside(cluster.namespace)
        while not over.wait(0.2):
            for pod in own.list(POD):
                name = pod["metadata"]["name"]
                if pod["status"].get("phase") == "Running" and name not in done and len(done) < times:
                    time.sleep(1.0)
                    try:
                        act(pod)
                    except Exception as e:
                        failed.append(e)
                    else:
                        done.add(name)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert done, f"nothing was done to a pod: {failed or 'it was over before'}"


def test_pods_that_are_deleted_in_the_middle_cost_no_verdict(sandbox_namespace: Cluster) -> None:
    with meanwhile(sandbox_namespace, lambda pod: sandbox_namespace.delete(POD, pod["metadata"]["name"]), 3):
        found = answers(jobs(sandbox_namespace), slow(60), AMPLE)
    assert all_right(found, 60)


def test_evicted_pods_cost_no_verdict(sandbox_namespace: Cluster) -> None:
    with meanwhile(sandbox_namespace, lambda pod: evict(sandbox_namespace, pod), 2):
        found = answers(jobs(sandbox_namespace), slow(60), AMPLE)
    assert all_right(found, 60)


def slow(n: int) -> list[Program]:
    """`prints(n)` that take a fifth of a second each."""
    return [Program(id=p.id, source="import time; time.sleep(0.2)\n" + p.source) for p in prints(n)]


def evict(cluster: Cluster, pod: Object) -> None:
    """What `kubectl drain` does."""
    meta = pod["metadata"]
    path = cluster.path(POD, meta["name"]) + "/eviction"
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": meta["name"]}}
    cluster._api.json("POST", path, body)


def test_a_job_that_somebody_deletes_costs_no_verdict(sandbox_namespace: Cluster) -> None:
    def delete_job(pod: Object) -> None:
        sandbox_namespace.delete(JOB, pod["metadata"]["labels"]["batch.kubernetes.io/job-name"])

    with meanwhile(sandbox_namespace, delete_job, 1):
        found = answers(jobs(sandbox_namespace), slow(40), AMPLE)
    assert all_right(found, 40)


def test_sandboxes_that_are_killed_cost_no_verdict(sandbox_namespace: Cluster) -> None:
    """As the kernel does when a node runs out of memory."""
    with meanwhile(sandbox_namespace, kill_its_processes, 2):
        found = answers(jobs(sandbox_namespace), slow(60), AMPLE)
    assert all_right(found, 60)


def kill_its_processes(pod: Object) -> None:
    """End the pod's sandbox on the node, which must be this machine."""
    uid, killed = pod["metadata"]["uid"], 0
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            groups, command = (path / "cgroup").read_text(), (path / "cmdline").read_bytes()
            if uid in groups.replace("_", "-") and b"runsc-sandbox" in command:
                os.kill(int(path.name), signal.SIGKILL)
                killed += 1
    assert killed, "the pod's sandbox is not on this machine"


def test_a_program_whose_pods_all_die_is_named_with_the_reason(sandbox_namespace: Cluster) -> None:
    """Pods with too little memory for gVisor itself; the release's settings refuse so little."""
    box = jobs(sandbox_namespace, checker_memory="16Mi")
    with pytest.raises(SandboxError, match=r"3 pods in a row ended while running program '0'.*(out of memory|crash)"):
        answers(box, prints(1), AMPLE)
    assert left_over(sandbox_namespace) == []


def test_an_image_that_is_missing_is_named(sandbox_namespace: Cluster) -> None:
    with pytest.raises(SandboxError, match=r"image: mmst/none:1 .*check that the image exists"):
        answers(jobs(sandbox_namespace, checker_image="mmst/none:1", pull_policy="Never"), prints(2), AMPLE)
    assert left_over(sandbox_namespace) == []


def test_a_pod_that_no_node_can_take_is_named(sandbox_namespace: Cluster) -> None:
    with pytest.raises(SandboxError, match=r"unschedulable: .*Insufficient cpu.*add nodes"):
        answers(jobs(sandbox_namespace, checker_cpu="1000", start_timeout=5.0), prints(2), AMPLE)
    assert left_over(sandbox_namespace) == []


def test_a_runtime_class_that_does_not_exist_is_named(sandbox_namespace: Cluster) -> None:
    with pytest.raises(SandboxError, match=r"no pods after .*RuntimeClass"):
        answers(jobs(sandbox_namespace, runtime_class="none", start_timeout=10.0), prints(2), AMPLE)
    assert left_over(sandbox_namespace) == []


def left_over(cluster: Cluster) -> list[str]:
    """What is still there of our making."""
    own = {"app.kubernetes.io/managed-by": "mmst"}
    there = [o for kind in (JOB, CONFIG_MAP) for o in cluster.list(kind, own)]
    return [o["metadata"]["name"] for o in there if not o["metadata"].get("deletionTimestamp")]


def test_a_launcher_that_was_killed_adopts_its_job(sandbox_namespace: Cluster) -> None:
    """The first launcher stops without cleaning up, as after kill -9; the second starts no Job of its own."""
    box, asked = jobs(sandbox_namespace), slow(20)
    made = box._launch(box._next(Waiting(asked, AMPLE, recheck=box._recheck))).name
    uid = (sandbox_namespace.get(JOB, made) or {})["metadata"]["uid"]
    seen: set[str] = set()
    with meanwhile(sandbox_namespace, lambda pod: seen.add(pod["metadata"]["ownerReferences"][0]["uid"]), 1):
        found = answers(jobs(sandbox_namespace), asked, AMPLE)
    assert all_right(found, 20)
    assert seen == {uid}


def test_stopping_in_the_middle_leaves_nothing(sandbox_namespace: Cluster) -> None:
    running: Iterator[Execution] = iter(jobs(sandbox_namespace).run(slow(40), AMPLE))
    next(running)
    running.close()  # type: ignore[attr-defined]
    assert left_over(sandbox_namespace) == []


# --- scale --------------------------------------------------------------------------------------


@pytest.mark.timeout(1800)
def test_20_000_programs_take_few_calls_and_little_memory(
    sandbox_namespace: Cluster, record_testsuite_property: Callable[[str, object], None]
) -> None:
    """A fiftieth of a million; the launcher holds two Jobs' programs, never all."""
    n = 20_000

    def asked() -> Iterator[Program]:
        for i in range(n):
            text = f"import sys\nsys.stdout.write(str({i} * 3))" if i % 20 == 0 else f"a = {i}\nprint(a * 3)"
            yield Program(id=str(i), source=f"# {'filler ' * 40}\n{text}")

    box = jobs(sandbox_namespace.beside(sandbox_namespace.namespace))
    tracemalloc.start()
    began, right = time.monotonic(), 0
    for e in box.run(asked(), AMPLE):
        right += (e.exit_status, e.stdout.strip()) == ("ok", str(int(e.id) * 3))
    seconds, peak = time.monotonic() - began, tracemalloc.get_traced_memory()[1] / (1 << 20)
    tracemalloc.stop()
    record_testsuite_property("20,000 programs", f"{seconds:.0f} s, {box.calls} API calls, {peak:.0f} MiB")
    print(f"20,000 programs: {seconds:.0f} s, {box.calls} API calls, {peak:.0f} MiB traced at most")
    assert right == n
    assert box.calls / n < 0.01
    assert peak < 100
