{{/* Every Host header by which MLflow is reached; it answers 403 to any other. */}}
{{- define "bellwether.mlflow.allowedHosts" -}}
{{- $hosts := list "localhost:*" "127.0.0.1:*" -}}
{{- range include "bellwether.clusterNames" (dict "root" . "name" (printf "%s-mlflow" (include "bellwether.fullname" .))) | fromYamlArray -}}
{{- $hosts = concat $hosts (list . (printf "%s:*" .)) -}}
{{- end -}}
{{- if .Values.mlflow.route -}}
{{- $public := printf "mlflow.%s" .Values.gateway.domain -}}
{{- $hosts = concat $hosts (list $public (printf "%s:*" $public)) -}}
{{- end -}}
{{- join "," (concat $hosts .Values.mlflow.extraAllowedHosts) -}}
{{- end -}}

{{/* (dict "root" $ "account" "mlflow"): which account of the object store and of the database. */}}
{{- define "bellwether.mlflow.env" -}}
{{- include "bellwether.env.objectStore" . }}
{{- with .root }}
- name: MLFLOW_S3_ENDPOINT_URL
  value: {{ .Values.objectStore.endpoint }}
{{ include "bellwether.env.login" $ }}
- name: MLFLOW_BACKEND_STORE_URI
  value: {{ include "bellwether.database.url" (dict "root" . "name" .Values.database.registryName) }}
- name: MLFLOW_SERVER_ENABLE_JOB_EXECUTION
  value: "false"
- name: MLFLOW_DISABLE_TELEMETRY
  value: "true"
- name: PYTHONUNBUFFERED
  value: "1"
{{- end }}
{{- end -}}
