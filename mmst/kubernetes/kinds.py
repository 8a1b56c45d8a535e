"""The kinds of objects that we use, their paths on an API server, and our labels. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

Object = dict[str, Any]

MANAGED = {"app.kubernetes.io/managed-by": "mmst"}
ERROR = "mmst.dev/error"
"""Annotation of the Event of a failed stage: the error as JSON (`errors.MmstError.to_data`)."""
"""The label that everything made at run time carries."""
RUN, COMPONENT = "mmst.dev/run", "app.kubernetes.io/component"
KFP_RUN = "pipeline/runid"
"""The label that Kubeflow Pipelines puts on all pods of a run, including its own drivers."""

EXECUTION = "MMST_EXECUTION"
"""The environment variable with the id of the execution that a process belongs to: Kubeflow's of its run, or ours."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object: `apiVersion`, `kind` and its name in paths."""

    api: str
    kind: str
    plural: str
    namespaced: bool = True

    def path(self, namespace: str, name: str = "") -> str:
        """The path of objects of this kind, or of the one with this name, on an API server."""
        where = f"/namespaces/{quote(namespace)}" if self.namespaced else ""
        return f"{self.group}{where}/{self.plural}" + (f"/{quote(name)}" if name else "")

    @property
    def group(self) -> str:
        """The path of its API group and version."""
        return f"/api/{self.api}" if "/" not in self.api else f"/apis/{self.api}"


POD = Kind("v1", "Pod", "pods")
CONFIG_MAP = Kind("v1", "ConfigMap", "configmaps")
EVENT = Kind("v1", "Event", "events")
SERVICE = Kind("v1", "Service", "services")
QUOTA = Kind("v1", "ResourceQuota", "resourcequotas")
CLAIM = Kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims")
JOB = Kind("batch/v1", "Job", "jobs")
RUNTIME_CLASS = Kind("node.k8s.io/v1", "RuntimeClass", "runtimeclasses", namespaced=False)
ACCESS_REVIEW = Kind("authorization.k8s.io/v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", namespaced=False)
PYTORCH_JOB = Kind("kubeflow.org/v1", "PyTorchJob", "pytorchjobs")
TRAIN_JOB = Kind("trainer.kubeflow.org/v1alpha1", "TrainJob", "trainjobs")
WORKFLOW = Kind("argoproj.io/v1alpha1", "Workflow", "workflows")
INFERENCE_SERVICE = Kind("serving.kserve.io/v1beta1", "InferenceService", "inferenceservices")
