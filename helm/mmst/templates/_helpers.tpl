{{- define "mmst.labels" -}}
app.kubernetes.io/name: mmst
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* Of a pod: nothing that changes with the chart's version, for a Job's pod cannot be changed. */}}
{{- define "mmst.podLabels" -}}
app.kubernetes.io/name: mmst
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Reference of one of our images: include "mmst.image" (list . "pipeline") */}}
{{- define "mmst.image" -}}
{{- $root := index . 0 -}}{{- $name := index . 1 -}}{{- $images := $root.Values.images -}}
{{- with index $images $name -}}{{ . }}
{{- else -}}{{ with $images.registry }}{{ . }}/{{ end }}mmst/{{ $name }}:{{ $images.tag | default $root.Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- define "mmst.claim" -}}
{{- if .Values.scratch.enabled -}}{{ .Values.scratch.existingClaim | default "mmst-scratch" }}{{- end -}}
{{- end }}

{{- define "mmst.trackingUri" -}}
{{- if .Values.mlflow.enabled -}}http://mmst-mlflow.{{ .Release.Namespace }}.svc:5000{{- else -}}{{ .Values.mlflow.address }}{{- end -}}
{{- end }}

{{/* Objects in the sandbox namespace, which a release of another namespace may share a cluster with. */}}
{{- define "mmst.sandboxName" -}}
{{ .Release.Namespace }}-checks
{{- end }}

{{/* Pods of ours conform to Pod Security `restricted`. */}}
{{- define "mmst.podSecurity" -}}
runAsNonRoot: true
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "mmst.containerSecurity" -}}
allowPrivilegeEscalation: false
capabilities: {drop: [ALL]}
{{- end }}

{{- define "mmst.pullSecrets" -}}
{{- with .Values.images.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{/* Secrets as environment: include "mmst.envFrom" LIST */}}
{{- define "mmst.envFrom" -}}
{{- with . }}
envFrom:
  {{- range . }}
  - secretRef: {name: {{ . }}}
  {{- end }}
{{- end }}
{{- end }}

{{/* The plain variables of every pod that touches the store or the registry. */}}
{{- define "mmst.env" -}}
env:
  - {name: HOME, value: /tmp}
  {{- range .Values.env }}
  {{- $parts := splitn "=" 2 . }}
  - {name: {{ $parts._0 }}, value: {{ $parts._1 | quote }}}
  {{- end }}
  {{- with include "mmst.trackingUri" . }}
  - {name: MLFLOW_TRACKING_URI, value: {{ . | quote }}}
  {{- end }}
  {{- with .Values.kfp.endpoint }}
  - {name: KFP_ENDPOINT, value: {{ . | quote }}}
  {{- end }}
{{- end }}

{{/* nodeSelector and tolerations of a GPU pod, from key=value and key=value:Effect. */}}
{{- define "mmst.gpuNodes" -}}
{{- with .Values.gpu.nodeSelector }}
nodeSelector:
  {{- range . }}
  {{- $parts := splitn "=" 2 . }}
  {{ $parts._0 }}: {{ $parts._1 | quote }}
  {{- end }}
{{- end }}
{{- with .Values.gpu.tolerations }}
tolerations:
  {{- range . }}
  {{- $taint := regexReplaceAll ":[A-Za-z]+$" . "" }}
  {{- $parts := splitn "=" 2 $taint }}
  - key: {{ $parts._0 }}
    {{- if contains "=" $taint }}
    operator: Equal
    value: {{ $parts._1 | quote }}
    {{- else }}
    operator: Exists
    {{- end }}
    effect: {{ regexFind "[A-Za-z]+$" . }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "mmst.serverResources" -}}
requests: {cpu: {{ .Values.serving.cpu | quote }}, memory: {{ .Values.serving.memory | quote }}}
limits:
  cpu: {{ .Values.serving.cpu | quote }}
  memory: {{ .Values.serving.memory | quote }}
  {{- if .Values.serving.gpus }}
  {{ .Values.gpu.resource }}: {{ .Values.serving.gpus | int | quote }}
  {{- end }}
{{- end }}
