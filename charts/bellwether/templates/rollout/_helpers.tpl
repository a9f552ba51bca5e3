{{/* An InferenceService without a name, a model and a version: how each version runs. */}}
{{- define "bellwether.rollout.inferenceService" -}}
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "bellwether.selector" (dict "root" . "component" "model") | nindent 4 }}
    app.kubernetes.io/part-of: bellwether
    app.kubernetes.io/managed-by: bellwether-rollout
    # KServe creates no route: the weights are on this chart's.
    networking.kserve.io/visibility: cluster-local
  annotations:
    serving.kserve.io/deploymentMode: Standard
spec:
  predictor:
    serviceAccountName: {{ include "bellwether.fullname" . }}-models
    automountServiceAccountToken: false
    enableServiceLinks: false
    securityContext:
      {{- include "bellwether.pod.security" . | nindent 6 }}
    terminationGracePeriodSeconds: 40
    minReplicas: {{ .Values.serving.minReplicas }}
    maxReplicas: {{ .Values.serving.maxReplicas }}
    scaleMetric: cpu
    scaleTarget: {{ .Values.serving.cpuTarget }}
    deploymentStrategy:
      type: RollingUpdate
      rollingUpdate: {maxUnavailable: 0, maxSurge: 1}
    {{- if .Values.serving.storageContainer.create }}
    storageContainerName: {{ include "bellwether.model.storageContainer" . }}
    {{- end }}
    model:
      modelFormat: {name: bellwether}
      runtime: {{ include "bellwether.fullname" . }}
      protocolVersion: v2
      resources:
        {{- toYaml .Values.serving.resources | nindent 8 }}
{{- end -}}

{{/* Spec of a version's budget; the rollout adds name, selector and owner. */}}
{{- define "bellwether.rollout.podDisruptionBudget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "bellwether.selector" (dict "root" . "component" "model") | nindent 4 }}
    app.kubernetes.io/part-of: bellwether
    app.kubernetes.io/managed-by: bellwether-rollout
spec:
  minAvailable: {{ .Values.serving.podDisruptionBudget.minAvailable }}
{{- end -}}

{{/* Public keys as they are written everywhere, byte for byte alike; "" where signatures are not asked for. */}}
{{- define "bellwether.signing.trustedKeys" -}}
{{- with trim .Values.signing.trustedKeys }}{{ . }}{{ "\n" }}{{ end -}}
{{- end -}}

{{/* Whether a person has to approve a version, "true" or "false"; values of a release before have no such key. */}}
{{- define "bellwether.rollout.approval" -}}
{{- get (.Values.rollout.approval | default dict) "required" | default false -}}
{{- end -}}

{{/* Whether a job of its own checks for a new champion: Kubeflow Pipelines' trainings may not, and an approval comes later. */}}
{{- define "bellwether.rollout.checks" -}}
{{- if and .Values.training.rollout (or (eq .Values.training.engine "kfp") (eq (include "bellwether.rollout.approval" .) "true")) }}true{{ end -}}
{{- end -}}

{{- define "bellwether.rollout.json" -}}
{{- $fullname := include "bellwether.fullname" . -}}
{{- dict
  "route" (printf "%s-forecast" $fullname)
  "grpcRoute" (ternary (printf "%s-forecast-grpc" $fullname) "" .Values.serving.grpc)
  "model" .Values.model.name
  "artifactStore" (printf "s3://%s/mlflow" .Values.objectStore.bucket)
  "steps" .Values.rollout.steps
  "approvalRequired" (eq (include "bellwether.rollout.approval" .) "true")
  "minutesPerStep" .Values.rollout.minutesPerStep
  "keepVersions" .Values.rollout.keepVersions
  "keepDays" .Values.rollout.keepDays
  "training" (dict "symbols" .Values.training.symbols "dataset" (.Values.training.dataset | default (printf "%s-%s" .Values.training.source .Values.training.interval)))
  "prometheusUrl" .Values.rollout.prometheusUrl
  "pushgatewayUrl" .Values.pushgateway.url
  "servicePort" 80
  "grpcPort" 8081
  "registryService" (printf "%s-mlflow" $fullname)
  "registryPort" 5000
  "ledgerUrl" (include "bellwether.database.logAddress" .)
  "ledgerSecret" .Values.database.existingSecret
  | toPrettyJson -}}
{{- end -}}
