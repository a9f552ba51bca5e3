{{/* The only containers that may use the Kubernetes API, this one and the quality's: they alone mount a token. (dict "root" $ "words" (list "restore")) */}}
{{- define "bellwether.rollout.container" -}}
{{- include "bellwether.container.pipeline" (dict "root" .root "name" "rollout" "database" "rollout"
  "arguments" (concat (list "rollout") .words (include "bellwether.rollout.release" .root | fromJsonArray))
  "resources" (dict "requests" (dict "cpu" "50m" "memory" "192Mi") "limits" (dict "memory" "512Mi"))) }}
  {{- include "bellwether.rollout.tokenMount" . }}
{{- end -}}

{{/* Judges what users get by its realised forecasts. It alone of the rollout reads prices. */}}
{{- define "bellwether.rollout.quality" -}}
{{- $quality := .Values.rollout.quality -}}
{{- include "bellwether.container.pipeline" (dict "root" . "name" "quality" "store" "rollout" "database" "rollout"
  "arguments" (concat (list "rollout" "quality" "--step-back" "--error-rate" (toString $quality.errorRate)) (include "bellwether.rollout.release" . | fromJsonArray))
  "resources" $quality.resources) }}
  {{- include "bellwether.rollout.tokenMount" . }}
{{- end -}}

{{- define "bellwether.rollout.release" -}}
{{- list "--namespace" .Release.Namespace "--release" (include "bellwether.fullname" .) | toJson -}}
{{- end -}}

{{- define "bellwether.rollout.tokenMount" }}
  - name: token
    mountPath: /var/run/secrets/kubernetes.io/serviceaccount
    readOnly: true
{{- end -}}

{{- define "bellwether.rollout.whenDue" -}}
{{- include "bellwether.rollout.container" (dict "root" . "words" (list "run" "champion" "--when-due")) -}}
{{- end -}}

{{/* The equivalent of an automounted token, for one container and valid for an hour. */}}
{{- define "bellwether.rollout.tokenVolume" -}}
- name: token
  projected:
    sources:
      - serviceAccountToken: {path: token, expirationSeconds: 3600}
      - configMap:
          name: kube-root-ca.crt
          items: [{key: ca.crt, path: ca.crt}]
      - downwardAPI:
          items: [{path: namespace, fieldRef: {fieldPath: metadata.namespace}}]
{{- end -}}

{{/* What a change of the prices that are asked for means; nothing when nothing changed, or at first. */}}
{{- define "bellwether.training.changed" -}}
{{- $before := lookup "v1" "ConfigMap" .Release.Namespace (printf "%s-rollout" (include "bellwether.fullname" .)) -}}
{{- if $before -}}
{{- $was := (get ($before.data | default dict) "rollout.json" | default "{}" | fromJson).training -}}
{{- $now := (include "bellwether.rollout.json" . | fromJson).training -}}
{{- if $was -}}
{{- if ne ($was.dataset | toString) ($now.dataset | toString) -}}
Note: trainings and refreshes now use data set {{ $now.dataset }} and used {{ $was.dataset }}. Versions that were trained on
{{ $was.dataset }} are refreshed no more and are refused when they get old; train, and roll the champion out, before that.
A training whose data set is not the champion's is refused unless settings.datasetMayChange is true.
{{- else if ne ($was.symbols | default list | sortAlpha | join ",") ($now.symbols | default list | sortAlpha | join ",") -}}
Note: training.symbols was {{ $was.symbols | default list | join "," | default "all" }} and is now {{ $now.symbols | default list | join "," | default "all" }}.
Versions that run go on answering for the symbols they were trained with. New symbols get 404 until a version of the next
training is rolled out: `bellwether rollout status` says which.
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
