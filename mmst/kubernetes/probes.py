"""Probes of a cluster for `mmst preflight`: what it must have and allow, each really tried.

Probes are pods with the label component=preflight, deleted when they have reported. Anything that cannot be proved
counts as missing: a sandbox that may not be gVisor is not a sandbox.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence

from mmst.core.config import Config
from mmst.core.diagnostic import Diagnostic
from mmst.core.errors import ClusterError, SetupError
from mmst.core.teachers import served_in_cluster
from mmst.kubernetes import pod_parts, pods
from mmst.kubernetes.client import Cluster
from mmst.kubernetes.kinds import (
    ACCESS_REVIEW,
    COMPONENT,
    INFERENCE_SERVICE,
    JOB,
    MANAGED,
    POD,
    PYTORCH_JOB,
    QUOTA,
    RUNTIME_CLASS,
    TRAIN_JOB,
    Kind,
    Object,
)
from mmst.kubernetes.pods import Trouble
from mmst.kubernetes.quota import demand, exceeded

OLDEST = (1, 31)
"""Kubernetes with Indexed Jobs that retry per index, and with pod failure policies."""
PATIENCE = 180.0
"""Seconds that a probe may take: it may have to pull an image of some GB."""

SUBJECT_REVIEW = Kind("authorization.k8s.io/v1", "SubjectAccessReview", "subjectaccessreviews", namespaced=False)
DEPLOYMENT = Kind("apps/v1", "Deployment", "deployments")
WEBHOOK = Kind(
    "admissionregistration.k8s.io/v1",
    "MutatingWebhookConfiguration",
    "mutatingwebhookconfigurations",
    namespaced=False,
)
KSERVE, KSERVE_WEBHOOK = "kserve-controller-manager", "inferenceservice.serving.kserve.io"
ACCOUNT = "mmst-stage"

READ = ("get", "list", "watch")
WRITE = (*READ, "create", "patch", "delete")
HERE: tuple[tuple[Kind | str, Sequence[str]], ...] = (
    (PYTORCH_JOB, WRITE), (TRAIN_JOB, WRITE), (INFERENCE_SERVICE, WRITE), (POD, READ), ("pods/log", ("get",)),
    ("events", ("create", "list")), ("configmaps:mmst-settings", ("get",)),
)  # fmt: skip
SANDBOX: tuple[tuple[Kind | str, Sequence[str]], ...] = (
    (JOB, WRITE), ("configmaps", WRITE), (POD, READ), ("pods/log", ("get",)), ("events", ("list",)),
)  # fmt: skip
"""The permissions of stages, in the release's namespace and the sandbox's (helm/mmst: service account mmst-stage)."""

DMESG = (
    "import ctypes; b = ctypes.create_string_buffer(1 << 16); "
    "n = ctypes.CDLL(None).klogctl(3, b, 1 << 16); print(b.raw[:max(n, 0)].decode(errors='replace'))"
)
"""`dmesg` without needing that program: gVisor's kernel log begins with "Starting gVisor"."""


def api(cluster: Cluster, config: Config) -> Iterator[Diagnostic]:
    """The server answers, is recent enough, and knows the kinds that this recipe uses."""
    version = cluster.version()
    numbers = tuple(int(n) for n in re.findall(r"\d+", version)[:2])
    yield Diagnostic(
        what="Kubernetes", ok=numbers >= OLDEST, found=version, why="check Jobs retry each index by itself",
        remedy=f"upgrade to {OLDEST[0]}.{OLDEST[1]} or newer",
    )  # fmt: skip
    launcher = config.train.launcher
    for kind, needed, who in (
        (JOB, True, "Kubernetes"),
        (PYTORCH_JOB, launcher == "pytorchjob", "the training-operator 1.9"),
        (TRAIN_JOB, launcher == "trainjob", "Kubeflow Trainer 2.3"),
        (INFERENCE_SERVICE, served_in_cluster(config), "KServe 0.20 or newer"),
    ):
        known = cluster.has(kind)
        yield Diagnostic(
            what=f"{kind.kind} ({kind.api})", ok=known, found="known" if known else "not known to the server",
            why="this recipe uses it" if needed else "only other recipes use it",
            remedy=f"install {who}", needed=needed,
        )  # fmt: skip


def permissions(cluster: Cluster, config: Config) -> Iterator[Diagnostic]:
    """The stages' service account has its permissions; checks our own if we may not ask about others."""
    c = config.cluster
    account = f"system:serviceaccount:{c.namespace}:{ACCOUNT}"
    for namespace, rules in ((c.namespace, HERE), (c.sandbox_namespace, SANDBOX)):
        denied, who = [], ""
        for thing, verbs in rules:
            if (
                isinstance(thing, Kind)
                and thing in (PYTORCH_JOB, TRAIN_JOB, INFERENCE_SERVICE)
                and not cluster.has(thing)
            ):
                continue
            for verb in verbs:
                allowed, who = _allowed(cluster, account, namespace, thing, verb)
                if not allowed:
                    denied.append(f"{verb} {thing.plural if isinstance(thing, Kind) else thing}")
        yield Diagnostic(
            what=f"permissions in {namespace}", ok=not denied,
            found=f"{who} may do all that stages do" if not denied else f"{who} may not: {', '.join(denied)}",
            why="stages create check Jobs, training jobs and model servers, and read their state",
            remedy="run helm upgrade for the release: its roles allow this (helm/mmst/README.md)",
        )  # fmt: skip


def gvisor(cluster: Cluster, config: Config) -> Iterator[Diagnostic]:
    """The RuntimeClass exists and really starts gVisor, according to the kernel of a pod in it."""
    c, why = config.cluster, "runs the programs that the model writes; a plain container is no protection"
    needed = config.check.sandbox == "gvisor_job"
    if cluster.get(RUNTIME_CLASS, c.runtime_class) is None:
        remedy = "install gVisor on the nodes and apply manifests/ (RuntimeClass gvisor, handler runsc)"
        found = f"no RuntimeClass {c.runtime_class}"
        yield Diagnostic(what="gVisor", ok=False, found=found, why=why, remedy=remedy, needed=needed)
        return
    spec = sandbox_probe(config, ["python3", "-c", DMESG])
    sandbox = cluster.beside(c.sandbox_namespace)
    (trouble, log), *_ = _tried(sandbox, {"gvisor": spec}).values()
    ok = "Starting gVisor" in log
    found = "a pod says: Starting gVisor" if ok else f"the kernel of a pod there is not gVisor's: {log[:80]!r}"
    remedy = (
        "check that the RuntimeClass's handler is runsc on every node that its pods may run on (manifests/README.md)"
    )
    if trouble and not ok:  # an image that cannot be pulled, say
        found, remedy = trouble.what, trouble.remedy or remedy
    yield Diagnostic(what="gVisor", ok=ok, found=found, why=why, remedy=remedy, needed=needed)


def walls(cluster: Cluster, config: Config) -> Iterator[Diagnostic]:
    """The sandbox namespace would take a pod as checks have it, and refuses each that is more. None is created."""
    where, spec = config.cluster.sandbox_namespace, sandbox_probe(config, ["true"])
    sandbox, meta = cluster.beside(where), {"name": f"preflight-{uuid.uuid4().hex[:12]}"}

    def refusal(tried: Object) -> str:
        return sandbox.refusal(POD, {"metadata": meta, "spec": tried})

    let_in: list[str] = []
    if said := refusal(spec):  # else every refusal could have this reason
        found, remedy = f"{where} takes no pod at all: {said}", "correct what it names; manifests/ makes the namespace"
    else:
        tried = breaches(spec)
        let_in = [what for what, pod in tried.items() if not refusal(pod)]
        found = f"{where} {'lets in' if let_in else 'refuses'} pods {', '.join(let_in or tried)}"
        remedy = f"apply manifests/, and `kubectl label namespace {where} mmst.dev/sandbox=true`"
    yield Diagnostic(
        what="walls", ok=not said and not let_in, found=found,
        why="programs that the model writes get no credentials and no way out",
        remedy=remedy, needed=config.check.sandbox == "gvisor_job",
    )  # fmt: skip


def breaches(spec: Object) -> dict[str, Object]:
    """Pods that no sandbox namespace may take, each for one reason, which Pod Security alone does not refuse."""
    [container] = spec["containers"]
    return {
        "without gVisor": spec | {"runtimeClassName": None},
        "with a token": spec | {"automountServiceAccountToken": True},
        "with a Secret": spec | {"containers": [container | {"envFrom": [{"secretRef": {"name": "preflight"}}]}]},
        "with a claim": spec | {"volumes": [{"name": "claim", "persistentVolumeClaim": {"claimName": "preflight"}}]},
        "with their node's names": spec | {"dnsPolicy": "Default", "dnsConfig": None},
    }


def kserve(cluster: Cluster, config: Config) -> Iterator[Diagnostic]:
    """KServe's controller exists and is ready: its own webhook says in which namespace it is."""
    hook = cluster.get(WEBHOOK, KSERVE_WEBHOOK)
    where = hook["webhooks"][0]["clientConfig"]["service"]["namespace"] if hook else ""
    found = cluster.beside(where).get(DEPLOYMENT, KSERVE) if hook else None
    ready = found.get("status", {}).get("readyReplicas", 0) if found else 0
    yield Diagnostic(
        what="KServe", ok=ready > 0, found=f"{where}/{KSERVE}: {ready} ready" if found else "no controller",
        why="serves the checkpoints that are sampled, and the champion",
        remedy="install KServe, or find out why it is down",
        needed=served_in_cluster(config),
    )  # fmt: skip


def quota(cluster: Cluster, config: Config) -> Iterator[Diagnostic]:
    """The quotas of both namespaces allow the recipe's maximum at one time."""
    for namespace, wanted in demand(config).items():
        over, names = [], []
        for found in cluster.beside(namespace).list(QUOTA):
            names.append(found["metadata"]["name"])
            over += exceeded(wanted, found["spec"].get("hard", {}))
        pods_wanted = f"{wanted['pods']:g} pods, {wanted['cpu']:g} CPU, {wanted['memory'] / 1024**3:g} GiB"
        yield Diagnostic(
            what=f"quota in {namespace}", ok=not over,
            found="; ".join(over) or f"{pods_wanted} fit{'' if names else ': there is no quota'}",
            why="pods that exceed a quota wait for ever",
            remedy="raise the quota, or lower cluster.checkers and the like",
        )  # fmt: skip


def images(cluster: Cluster, config: Config) -> Iterator[Diagnostic]:
    """Every image of this recipe can be pulled where it is used: a pod of each is started."""
    c = config.cluster
    here = {"pipeline": c.pipeline_image}
    if config.train.launcher != "local":
        here["trainer"] = c.trainer_image
    if served_in_cluster(config) and c.server_runtime == "mmst":
        here["server"] = c.server_image
    there = {"checker": c.checker_image} if config.check.sandbox == "gvisor_job" else {}
    tried = _tried(cluster, {name: _probe(config, image, ["true"]) for name, image in here.items()})
    tried |= _tried(cluster.beside(c.sandbox_namespace), {name: sandbox_probe(config, ["true"]) for name in there})
    for name, (trouble, _) in tried.items():
        image = (here | there)[name]
        remedy = "push it there (docs/images.md), or correct cluster."
        remedy += f"{name}_image, cluster.pull_secrets and cluster.pull_policy"
        if trouble and trouble.name != "image":
            remedy = trouble.remedy or remedy
        yield Diagnostic(
            what=f"{name} image", ok=trouble is None, found=trouble.what if trouble else f"{image} was pulled",
            why="its pods would wait for ever", remedy=remedy,
        )  # fmt: skip


def _allowed(cluster: Cluster, account: str, namespace: str, thing: Kind | str, verb: str) -> tuple[bool, str]:
    """Whether the account (or else we) may do something, and which of the two was checked.

    `thing` is a kind, a `resource/subresource`, or a `resource:name`.
    """
    group, resource = "", str(thing)
    if isinstance(thing, Kind):
        group, resource = thing.api.rpartition("/")[0], thing.plural
    resource, _, sub = resource.partition("/")
    resource, _, name = resource.partition(":")
    wanted = {
        "namespace": namespace,
        "verb": verb,
        "group": group,
        "resource": resource,
        "subresource": sub,
        "name": name,
    }
    try:
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{account.split(':')[2]}", "system:authenticated"]
        spec = {"user": account, "groups": groups, "resourceAttributes": wanted}
        return bool(cluster.review(SUBJECT_REVIEW, spec)["status"].get("allowed")), ACCOUNT
    except (SetupError, ClusterError):
        return bool(cluster.review(ACCESS_REVIEW, {"resourceAttributes": wanted})["status"].get("allowed")), "this user"


def _probe(config: Config, image: str, command: Sequence[str]) -> Object:
    """A pod that only starts, under the strictest rules."""
    c = config.cluster
    resources = {"cpu": "100m", "memory": "128Mi", "ephemeral-storage": "64Mi"}
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 1,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65534, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": "probe",
                "image": image,
                "imagePullPolicy": c.pull_policy,
                "command": list(command),
                "resources": {"limits": resources, "requests": resources},
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
            }
        ],
        **({"imagePullSecrets": [{"name": s} for s in c.pull_secrets]} if c.pull_secrets else {}),
    }


def sandbox_probe(config: Config, command: Sequence[str]) -> Object:
    """The same of the checker image, as the sandbox namespace takes it."""
    return _probe(config, config.cluster.checker_image, command) | pod_parts.sandboxed(config.cluster)


def _tried(cluster: Cluster, specs: Mapping[str, Object]) -> dict[str, tuple[Trouble | None, str]]:
    """Start a pod of each; returns what kept it from starting, and its log. All are deleted again."""
    said: dict[str, tuple[Trouble | None, str]] = {}
    labels = {**MANAGED, COMPONENT: "preflight", "mmst.dev/probe": uuid.uuid4().hex[:12]}
    pending = {f"preflight-{name}-{labels['mmst.dev/probe']}": name for name in specs}
    try:
        for pod, name in list(pending.items()):
            try:
                cluster.create(POD, {"metadata": {"name": pod, "labels": labels}, "spec": specs[name]})
            except (ClusterError, SetupError) as e:
                said[pending.pop(pod)] = (Trouble("refused", str(e), ""), "")
        deadline = time.monotonic() + PATIENCE
        for state, _ in cluster.follow(POD, labels) if pending else ():
            for pod in [p for p in pending if p in state]:
                trouble = _kept(state[pod])
                if trouble or _started(state[pod]):
                    said[pending.pop(pod)] = (trouble, (cluster.log(pod, tail=200) or b"").decode("utf-8", "replace"))
            if not pending or time.monotonic() > deadline:
                break
        for pod, name in pending.items():
            trouble = pods.trouble(state[pod]) if pod in state else None
            said[name] = (trouble or Trouble("late", f"did not start within {PATIENCE:g} s", ""), "")
    finally:
        cluster.delete_owned(POD, labels)
    return {name: said[name] for name in specs}


def _started(pod: Object) -> bool:
    """Whether its container started, however it ended: that proves that the image is there."""
    states = [container.get("state", {}) for container in pod.get("status", {}).get("containerStatuses", ())]
    return any("terminated" in s or (s.get("waiting") or {}).get("reason") == "RunContainerError" for s in states)


def _kept(pod: Object) -> Trouble | None:
    """What keeps the pod from starting for good."""
    trouble = None if _started(pod) else pods.trouble(pod)
    return trouble if trouble and (pods.age(pod) > min(trouble.patience, 60.0) or pods.finished(pod)) else None
