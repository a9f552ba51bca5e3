{{/* Address of Kubeflow Pipelines' API; nothing with another engine. */}}
{{- define "bellwether.pipelines.url" -}}
{{- if eq .Values.training.engine "kfp" -}}
{{- .Values.kubeflowPipelines.url | default (printf "http://ml-pipeline.%s.svc.cluster.local:8888" .Values.kubeflowPipelines.namespace) -}}
{{- end -}}
{{- end -}}

{{/* Address of its UI in a browser: as given, else the route `pipelines` of our gateway; nothing without either. */}}
{{- define "bellwether.pipelines.publicUrl" -}}
{{- $route := .Values.gateway.extraRoutes.pipelines -}}
{{- if .Values.kubeflowPipelines.publicUrl -}}
{{- .Values.kubeflowPipelines.publicUrl -}}
{{- else if $route -}}
http://{{ $route.hostname | default "pipelines" }}.{{ .Values.gateway.domain }}{{ include "bellwether.publicPort" . }}
{{- end -}}
{{- end -}}

{{/* metadata of an object in its namespace. (dict "root" $ "component" "steps" "name" "x") */}}
{{- define "bellwether.pipelines.metadata" -}}
name: {{ .name }}
namespace: {{ .root.Values.kubeflowPipelines.namespace }}
labels:
  {{- include "bellwether.labels" .root | nindent 2 }}
  app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* Name of the steps' ConfigMap. */}}
{{- define "bellwether.pipelines.settings" -}}
{{- include "bellwether.fullname" . }}-settings
{{- end -}}

{{- define "bellwether.pipelines.image" -}}
{{- include "bellwether.image" (dict "root" . "image" .Values.images.pipeline) -}}
{{- end -}}

{{/* A compiled pipeline as `pipelines.compile.package` makes it, byte for byte. (dict "root" $ "name" "bellwether-training") */}}
{{- define "bellwether.pipelines.package" -}}
{{- $names := .root.Values.kubeflowPipelines -}}
{{- $file := printf "pipelines/%s%s.yaml" .name ($names.providersSecret | empty | ternary "" ".providers") -}}
{{- .root.Files.Get $file
  | replace "blank-image" (include "bellwether.pipelines.image" .root)
  | replace "blank-settings" (include "bellwether.pipelines.settings" .root)
  | replace "blank-object-store" $names.objectStoreSecret
  | replace "blank-database" $names.databaseSecret
  | replace "blank-providers" $names.providersSecret
  | replace "blank-signing" $names.signingSecret -}}
{{- end -}}

{{/* The name of that version: `pipelines.contents.content_hash`. */}}
{{- define "bellwether.pipelines.version" -}}
{{- include "bellwether.pipelines.package" . | sha256sum | trunc 12 -}}
{{- end -}}

{{/* A container of the hook. (dict "root" $ "name" "submit" "arguments" (list ...)) */}}
{{- define "bellwether.pipelines.container" -}}
{{- $values := .root.Values.kubeflowPipelines -}}
name: {{ .name }}
image: {{ include "bellwether.pipelines.image" .root }}
imagePullPolicy: {{ .root.Values.images.pullPolicy }}
command: [python, -m, bellwether]
args:
  {{- toYaml .arguments | nindent 2 }}
env:
  - {name: BELLWETHER_PIPELINES_URL, value: {{ include "bellwether.pipelines.url" .root | quote }}}
  - {name: BELLWETHER_PIPELINE_IMAGE, value: {{ include "bellwether.pipelines.image" .root | quote }}}
  - {name: BELLWETHER_STEP_SETTINGS, value: {{ include "bellwether.pipelines.settings" .root }}}
  - {name: BELLWETHER_STEP_OBJECT_STORE, value: {{ $values.objectStoreSecret }}}
  - {name: BELLWETHER_STEP_DATABASE, value: {{ $values.databaseSecret }}}
  {{- with $values.providersSecret }}
  - {name: BELLWETHER_STEP_PROVIDERS, value: {{ . }}}
  {{- end }}
  - {name: BELLWETHER_STEP_SIGNING, value: {{ $values.signingSecret }}}
  - {name: PYTHONUNBUFFERED, value: "1"}
securityContext:
  {{- include "bellwether.container.security" .root | nindent 2 }}
resources:
  {{- toYaml $values.resources | nindent 2 }}
terminationMessagePolicy: FallbackToLogsOnError
volumeMounts:
  {{- include "bellwether.container.mounts" .root | nindent 2 }}
{{- end -}}

{{/* Arguments of `bellwether pipeline schedule`. (dict "root" $ "name" "refresh" "job" .Values.refresh "more" (list ...)) */}}
{{- define "bellwether.pipelines.schedule" -}}
{{- $arguments := list "pipeline" "schedule" .name "--cron" .job.schedule "--ready-within" "120" "--shards" (toString .root.Values.training.shards) -}}
{{- $arguments = concat $arguments (include "bellwether.prices.arguments" .root | fromYamlArray) .more -}}
{{- if .root.Values.kubeflowPipelines.native -}}
{{- $full := printf "bellwether-%s" .name -}}
{{- $arguments = concat $arguments (list "--version" (include "bellwether.pipelines.version" (dict "root" .root "name" $full))) -}}
{{- end -}}
{{- if .job.suspend }}{{ $arguments = append $arguments "--suspend" }}{{ end -}}
{{- toYaml $arguments -}}
{{- end -}}
