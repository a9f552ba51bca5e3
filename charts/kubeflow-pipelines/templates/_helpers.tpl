{{/* Names and labels. Objects have upstream's names, which clients, drivers and launchers rely on: one release a namespace. */}}

{{- define "kfp.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/part-of: kubeflow-pipelines
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* metadata of a component's object. (dict "root" $ "component" "apiserver" "name" "ml-pipeline") */}}
{{- define "kfp.metadata" -}}
name: {{ .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "kfp.labels" .root | nindent 2 }}
  app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* What selects a component's pods. */}}
{{- define "kfp.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* Whole image reference. (dict "root" $ "image" .Values.images.ui) */}}
{{- define "kfp.image" -}}
{{- trimSuffix "/" (.root.Values.images.registry | default .image.registry) -}}/{{- .image.repository -}}
{{- if .image.digest }}@{{ .image.digest }}{{ else }}:{{ .image.tag | default .root.Chart.AppVersion }}{{ end -}}
{{- end -}}

{{- define "kfp.database.host" -}}
{{- .Values.database.host | default "mysql" -}}
{{- end -}}

{{- define "kfp.database.secret" -}}
{{- .Values.database.existingSecret | default "mysql-secret" -}}
{{- end -}}

{{- define "kfp.objectStore.secret" -}}
{{- .Values.objectStore.existingSecret | default "mlpipeline-minio-artifact" -}}
{{- end -}}

{{/* Host, port and TLS of the object store, as JSON: its clients take them separately. */}}
{{- define "kfp.objectStore.address" -}}
{{- $endpoint := .Values.objectStore.endpoint | default (printf "http://seaweedfs.%s.svc.cluster.local:9000" .Release.Namespace) -}}
{{- $parsed := urlParse $endpoint -}}
{{- $secure := eq $parsed.scheme "https" -}}
{{- $host := splitList ":" $parsed.host -}}
{{- $port := ternary "443" "80" $secure -}}
{{- if gt (len $host) 1 }}{{ $port = index $host 1 }}{{ end -}}
{{- dict "host" (index $host 0) "port" $port "secure" $secure "hostPort" (printf "%s:%s" (index $host 0) $port) | toJson -}}
{{- end -}}

{{- define "kfp.pipelineRoot" -}}
{{- .Values.objectStore.pipelineRoot | default (printf "minio://%s/v2/artifacts" .Values.objectStore.bucket) -}}
{{- end -}}

{{/* Key of a pod's logs in the bucket, for Argo and for the user interface. */}}
{{- define "kfp.logs.keyFormat" -}}
private-artifacts/{{ "{{workflow.namespace}}/{{workflow.name}}/{{workflow.creationTimestamp.Y}}/{{workflow.creationTimestamp.m}}/{{workflow.creationTimestamp.d}}/{{pod.name}}" }}
{{- end -}}

{{- define "kfp.env.objectStore.keys" -}}
{{- $secret := include "kfp.objectStore.secret" .root -}}
- name: {{ .access }}
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: {{ .root.Values.objectStore.accessKeyName }}}}
- name: {{ .secret }}
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: {{ .root.Values.objectStore.secretKeyName }}}}
{{- end -}}

{{/* A value that is kept across upgrades: the Secret's, else a random one. (dict "root" $ "secret" "x" "key" "y" "length" 32) */}}
{{- define "kfp.generated" -}}
{{- $secret := lookup "v1" "Secret" .root.Release.Namespace .secret -}}
{{- $stored := get (dig "data" (dict) ($secret | default dict)) .key | b64dec -}}
{{- $stored | default (randAlphaNum .length) -}}
{{- end -}}
