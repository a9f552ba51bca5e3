{{/* Names and labels that every object carries. */}}

{{- define "bellwether.name" -}}
{{- .Values.nameOverride | default .Chart.Name -}}
{{- end -}}

{{/* The release's name if it says what this is, else release-name. Names of objects are <fullname>-X. */}}
{{- define "bellwether.fullname" -}}
{{- $name := include "bellwether.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Labels of an object that belongs to no one component. */}}
{{- define "bellwether.labels" -}}
app.kubernetes.io/name: {{ include "bellwether.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/part-of: bellwether
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* metadata of a component's object. (dict "root" $ "component" "page" "name" "page"); name "": the fullname. */}}
{{- define "bellwether.metadata" -}}
name: {{ include "bellwether.fullname" .root }}{{ with .name }}-{{ . }}{{ end }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "bellwether.labels" .root | nindent 2 }}
  app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* What selects a component's pods. */}}
{{- define "bellwether.selector" -}}
app.kubernetes.io/name: {{ include "bellwether.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* Whole image reference. (dict "root" $ "image" .Values.images.ui) */}}
{{- define "bellwether.image" -}}
{{- with .root.Values.images.registry }}{{ trimSuffix "/" . }}/{{ end -}}
{{- .image.repository -}}
{{- if .image.digest }}@{{ .image.digest }}{{ else }}:{{ .image.tag | default .root.Chart.AppVersion }}{{ end -}}
{{- end -}}

{{- define "bellwether.mlflow.url" -}}
http://{{ include "bellwether.fullname" . }}-mlflow:5000
{{- end -}}

{{/* Address of MLflow in a browser; "" without a route. */}}
{{- define "bellwether.mlflow.publicUrl" -}}
{{ if .Values.mlflow.route }}http://mlflow.{{ .Values.gateway.domain }}{{ include "bellwether.publicPort" . }}{{ else }}""{{ end }}
{{- end -}}

{{- define "bellwether.forecast.url" -}}
http://{{ include "bellwether.fullname" . }}-forecast
{{- end -}}

{{/* Host name of the gateway's data plane inside the cluster. */}}
{{- define "bellwether.gateway.service" -}}
{{- .Values.gateway.service | default (printf "%s-gateway.%s.svc.cluster.local" (include "bellwether.fullname" .) .Values.networkPolicies.gatewayNamespace) -}}
{{- end -}}

{{/* What stands behind a host name in a browser: ":8080", or nothing for port 80. */}}
{{- define "bellwether.publicPort" -}}
{{- if ne (int .Values.gateway.publicPort) 80 }}:{{ .Values.gateway.publicPort }}{{ end -}}
{{- end -}}

{{- define "bellwether.parentRefs" -}}
{{- $parent := .Values.gateway.parentRef }}
parentRefs:
  - group: gateway.networking.k8s.io
    kind: Gateway
    {{- if .Values.gateway.create }}
    name: {{ include "bellwether.fullname" . }}
    {{- else }}
    name: {{ $parent.name }}
    {{- with $parent.namespace }}
    namespace: {{ . }}
    {{- end }}
    {{- with $parent.sectionName }}
    sectionName: {{ . }}
    {{- end }}
    {{- end }}
{{- end -}}

{{/* A name and every longer form of it inside the cluster. (dict "root" $ "name" "x") */}}
{{- define "bellwether.clusterNames" -}}
- {{ .name }}
- {{ .name }}.{{ .root.Release.Namespace }}
- {{ .name }}.{{ .root.Release.Namespace }}.svc
- {{ .name }}.{{ .root.Release.Namespace }}.svc.cluster.local
{{- end -}}
