{{- /* Labels of every object. */}}
{{- define "foundation.labels" -}}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
app.kubernetes.io/name: foundation
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/part-of: bellwether
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- /* What is kept on uninstall: without it the data it opens would be lost. */}}
{{- define "foundation.keep" -}}
helm.sh/resource-policy: keep
{{- end }}

{{- /* A value that is kept across upgrades: that of the first of these Secrets that has it, else the given one.
       Call with (list (list namespace secret key) ...) and "fresh". */}}
{{- define "foundation.generated" -}}
{{- $stored := "" }}
{{- range .places }}
{{- if and (not $stored) (index . 0) }}
{{- $secret := lookup "v1" "Secret" (index . 0) (index . 1) }}
{{- if $secret }}
{{- $stored = get ($secret.data | default dict) (index . 2) | b64dec }}
{{- end }}
{{- end }}
{{- end }}
{{- $stored | default .fresh }}
{{- end }}

{{- /* What KServe's init container reads of a Secret with keys. Call with .Values.objectStore. */}}
{{- define "foundation.kserve" -}}
serving.kserve.io/s3-endpoint: {{ .endpoint | quote }}
serving.kserve.io/s3-usehttps: {{ ternary "1" "0" .useHttps | quote }}
serving.kserve.io/s3-region: {{ .region | quote }}
serving.kserve.io/s3-useanoncredential: "false"
serving.kserve.io/s3-usevirtualbucket: "false"
{{- end }}

{{- /* Accounts of the object store besides the one that may everything, and what each may, as SeaweedFS writes it:
       an action, and after a colon a bucket or, with a star, whatever begins so. SECURITY.md says the same in words. */}}
{{- define "foundation.accounts" -}}
{{- $bucket := .Values.objectStore.bucket -}}
drift:
  - Read:{{ $bucket }}/lake/*
  - Write:{{ $bucket }}/lake/drift/*
  # `bellwether cluster doctor` tries its connections from a pod like this job's.
  - Write:{{ $bucket }}/lake/doctor/*
  - List:{{ $bucket }}
jobs:
  - Read:{{ $bucket }}/lake/*
  - Write:{{ $bucket }}/lake/*
  - List:{{ $bucket }}
mlflow:
  - Read:{{ $bucket }}/mlflow/*
  - Write:{{ $bucket }}/mlflow/*
  - List:{{ $bucket }}/mlflow/*
  - Tagging:{{ $bucket }}/mlflow/*
models:
  - Read:{{ $bucket }}/mlflow/*
  - Read:{{ $bucket }}/lake/features/*
  - List:{{ $bucket }}
page:
  - Read:{{ $bucket }}/lake/*
  - List:{{ $bucket }}
rollout:
  - Read:{{ $bucket }}/lake/*
  - List:{{ $bucket }}
{{- if and .Values.pipelines.enabled .Values.pipelines.namespace }}
pipelines:
  # Its API server makes the bucket.
  - Admin:{{ .Values.pipelines.bucket }}
{{- end }}
{{- end }}

{{- /* A Secret with keys of the object store. (dict "root" $ "name" "x" "namespace" "y" "keys" (dict ...) "kserve" true) */}}
{{- define "foundation.keys" -}}
---
apiVersion: v1
kind: Secret
metadata:
  name: {{ .name }}
  namespace: {{ .namespace }}
  labels:
    {{- include "foundation.labels" .root | nindent 4 }}
  annotations:
    {{- include "foundation.keep" .root | nindent 4 }}
    {{- if .kserve }}
    {{- include "foundation.kserve" .root.Values.objectStore | nindent 4 }}
    {{- end }}
type: Opaque
stringData:
  AWS_ACCESS_KEY_ID: {{ .keys.accessKey | quote }}
  AWS_SECRET_ACCESS_KEY: {{ .keys.secretKey | quote }}
{{- end }}

{{- /* A Secret with a login of the database. (dict "root" $ "name" "x" "namespace" "y" "role" "z" "password" "...") */}}
{{- define "foundation.login" -}}
---
apiVersion: v1
kind: Secret
metadata:
  name: {{ .name }}
  namespace: {{ .namespace }}
  labels:
    {{- include "foundation.labels" .root | nindent 4 }}
  annotations:
    {{- include "foundation.keep" .root | nindent 4 }}
type: Opaque
stringData:
  username: {{ .role | quote }}
  password: {{ .password | quote }}
{{- end }}
