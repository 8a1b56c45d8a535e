{{/* What the schema cannot say: one value against another. Each message names key, reason and remedy. */}}
{{- define "mmst.refuse" -}}
{{- fail (printf "\n\n%s: %s.\nRemedy: %s\n" (index . 0) (index . 1) (index . 2)) -}}
{{- end }}

{{- define "mmst.checks" -}}
{{- $v := .Values -}}
{{- $serving := $v.serving -}}
{{- $champion := $serving.champion -}}
{{- if not $v.store -}}
{{- include "mmst.refuse" (list "store" "the release needs a place for runs and checkpoints" "--set store=s3://bucket/prefix") -}}
{{- end -}}
{{- range $v.env -}}
{{- $name := regexFind "^[^=]+" . -}}
{{- if or (regexMatch "(SECRET|PASSWORD|PASSWD|CREDENTIAL|API_KEY|ACCESS_KEY|TOKENS?(_|$))" $name) (regexMatch "://[^/]*:[^/]*@" .) -}}
{{- include "mmst.refuse" (list "env" (printf "%s looks like a credential, and values stand in Git and in the release's history" $name) "kubectl create secret generic NAME --from-literal=VARIABLE=…, and name it in `secrets` (the store's) or `stageSecrets` (all others)") -}}
{{- end -}}
{{- end -}}
{{- if eq $v.sandbox.namespace .Release.Namespace -}}
{{- include "mmst.refuse" (list "sandbox.namespace" (printf "programs that a model wrote must not run in %s, beside the release's credentials" .Release.Namespace) "--set sandbox.namespace=mmst-sandbox (manifests/ makes it)") -}}
{{- end -}}
{{- if gt (int $v.sandbox.checkers) (int $v.sandbox.quota.pods) -}}
{{- include "mmst.refuse" (list "sandbox.checkers" (printf "%d check pods do not fit into a quota of %d" (int $v.sandbox.checkers) (int $v.sandbox.quota.pods)) "raise sandbox.quota.pods, or lower sandbox.checkers") -}}
{{- end -}}
{{- if eq $v.training.launcher "local" -}}
{{- if or (gt (int $v.training.nodes) 1) (gt (int $v.training.gpus) 0) -}}
{{- include "mmst.refuse" (list "training.launcher" "local trains in the stage's own pod, which has neither further nodes nor GPUs" "--set training.launcher=pytorchjob, or training.nodes=1 and training.gpus=0") -}}
{{- end -}}
{{- else if not $v.scratch.enabled -}}
{{- include "mmst.refuse" (list "scratch.enabled" (printf "training.launcher=%s keeps checkpoints under way on the shared volume" $v.training.launcher) "--set scratch.enabled=true, or training.launcher=local") -}}
{{- end -}}
{{- if and (gt (int $v.training.nodes) 1) (not $v.scratch.existingClaim) (ne $v.scratch.accessMode "ReadWriteMany") -}}
{{- include "mmst.refuse" (list "scratch.accessMode" (printf "%d training pods on several nodes cannot share a %s volume" (int $v.training.nodes) $v.scratch.accessMode) "--set scratch.accessMode=ReadWriteMany with a storage class that has it") -}}
{{- end -}}
{{- if and (eq $serving.runtime "vllm") (lt (int $serving.gpus) 1) -}}
{{- include "mmst.refuse" (list "serving.gpus" "serving.runtime=vllm needs GPUs" "--set serving.gpus=8 (BLOOM-176B in bfloat16: 8 of 80 GB), or serving.runtime=mmst") -}}
{{- end -}}
{{- if and $v.rollout.enabled (not $v.rollout.model) -}}
{{- include "mmst.refuse" (list "rollout.model" "the rollout follows a registered model, and none is named" "--set rollout.model=NAME, the promote.name of the recipe that trains it (demo: mmst-demo; without the key: mmst)") -}}
{{- end -}}
{{- if and $v.rollout.enabled (not $champion.enabled) -}}
{{- if or (ne $champion.name "champion") $champion.checkpoint $champion.storageUri $champion.args (ne (int $champion.replicas) 1) -}}
{{- include "mmst.refuse" (list "serving.champion" "the rollout serves the registered model as one pod named champion, and reads nothing of this section" "leave name, checkpoint, storageUri, args and replicas out; or pin a model with serving.champion.enabled=true and rollout.enabled=false") -}}
{{- end -}}
{{- end -}}
{{- if and $champion.args (ne $serving.runtime "vllm") -}}
{{- include "mmst.refuse" (list "serving.champion.args" "they are arguments of vLLM, and serving.runtime=mmst has none" "--set serving.runtime=vllm, or leave them out") -}}
{{- end -}}
{{- if $champion.enabled -}}
{{- if $v.rollout.enabled -}}
{{- include "mmst.refuse" (list "serving.champion.enabled" "with rollout.enabled the InferenceService would have two owners" "switch one off: champion pins a model, rollout follows the registry") -}}
{{- end -}}
{{- if and (eq $serving.runtime "mmst") (not $champion.checkpoint) -}}
{{- include "mmst.refuse" (list "serving.champion.checkpoint" "serving.runtime=mmst serves a checkpoint of the store" "--set serving.champion.checkpoint=stages/train/KEY") -}}
{{- end -}}
{{- if and (eq $serving.runtime "vllm") (not $champion.storageUri) -}}
{{- include "mmst.refuse" (list "serving.champion.storageUri" "serving.runtime=vllm serves a model's files" "--set serving.champion.storageUri=s3://bucket/model") -}}
{{- end -}}
{{- end -}}
{{- if $champion.localModelCache.enabled -}}
{{- if not (and $champion.enabled (eq $serving.runtime "vllm")) -}}
{{- include "mmst.refuse" (list "serving.champion.localModelCache.enabled" "only a champion that is served by vllm has files to cache" "--set serving.champion.enabled=true,serving.runtime=vllm, or switch the cache off") -}}
{{- end -}}
{{- if or (not $champion.localModelCache.modelSize) (not $champion.localModelCache.nodeGroups) -}}
{{- include "mmst.refuse" (list "serving.champion.localModelCache" "KServe must know the model's size and on which nodes it lies" "set modelSize (BLOOM-176B in bfloat16: 360Gi) and nodeGroups") -}}
{{- end -}}
{{- end -}}
{{- if and $v.mlflow.enabled $v.mlflow.address -}}
{{- include "mmst.refuse" (list "mlflow.address" "mlflow.enabled runs a server of its own" "give an address or mlflow.enabled=true, not both") -}}
{{- end -}}
{{- if not (or $v.mlflow.enabled $v.mlflow.address) -}}
{{- include "mmst.refuse" (list "mlflow.address" "stages run in many pods and need one registry" "--set mlflow.address=http://mlflow.NAMESPACE.svc:5000, or mlflow.enabled=true") -}}
{{- end -}}
{{- if not $v.mlflow.enabled -}}
{{- range $key := list "hosts" "artifacts" "image" -}}
{{- if index $v.mlflow $key -}}
{{- include "mmst.refuse" (list (printf "mlflow.%s" $key) "it is of the release's own tracking server, and there is none" "--set mlflow.enabled=true with an empty mlflow.address, or leave it out") -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $v.mlflow.enabled (not $v.mlflow.database.secret) -}}
{{- include "mmst.refuse" (list "mlflow.database.secret" "the tracking server keeps its records in Postgres" "kubectl create secret generic mmst-mlflow-db --from-literal=uri=postgresql://…, then --set mlflow.database.secret=mmst-mlflow-db") -}}
{{- end -}}
{{- if $v.retrain.enabled -}}
{{- if eq (not $v.retrain.recipe) (not $v.retrain.inline) -}}
{{- include "mmst.refuse" (list "retrain.recipe" "the retrain Job runs one recipe, named here or written as retrain.inline" "--set retrain.recipe=demo, or write retrain.inline and leave the name empty") -}}
{{- end -}}
{{- if not $v.kfp.endpoint -}}
{{- include "mmst.refuse" (list "kfp.endpoint" "the retrain Job hands its run to Kubeflow Pipelines" "--set kfp.endpoint=http://ml-pipeline.kubeflow.svc:8888") -}}
{{- end -}}
{{- else if $v.retrain.only -}}
{{- include "mmst.refuse" (list "retrain.only" "nothing is left to render without retrain.enabled" "--set retrain.enabled=true") -}}
{{- end -}}
{{- if $v.requireCRDs -}}
{{- $kserve := or $champion.enabled $v.rollout.enabled (eq $serving.sampling "kserve") -}}
{{- range $need := list
  (list $kserve "serving.kserve.io/v1beta1/InferenceService" "install KServe, or --set serving.sampling=local")
  (list $champion.localModelCache.enabled "serving.kserve.io/v1alpha1/LocalModelCache" "install KServe's kserve-localmodel charts")
  (list (eq $v.training.launcher "pytorchjob") "kubeflow.org/v1/PyTorchJob" "install the training-operator, or --set training.launcher=local")
  (list (eq $v.training.launcher "trainjob") "trainer.kubeflow.org/v1alpha1/TrainJob" "install Kubeflow Trainer, or --set training.launcher=local")
  (list (ne $v.queue "") "kueue.x-k8s.io/v1beta2/LocalQueue" "install Kueue, or --set queue=") -}}
{{- if and (index $need 0) (not ($.Capabilities.APIVersions.Has (index $need 1))) -}}
{{- include "mmst.refuse" (list "requireCRDs" (printf "the cluster does not know %s, which the values need" (index $need 1)) (printf "%s. When rendering without a cluster: --api-versions %s, or --set requireCRDs=false" (index $need 2) (index $need 1))) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}
