{{/* Cluster-wide name, so the namespace is in it. */}}
{{- define "bellwether.model.storageContainer" -}}
{{- printf "%s-%s" .Release.Namespace (include "bellwether.fullname" .) | trunc 63 | trimSuffix "-" -}}
{{- end -}}
