{{/* The text with every @name@ replaced: by a threshold, or by a fact of the release. */}}
{{- define "bellwether.monitoring.filled" -}}
{{- $root := .root -}}
{{- $text := .text -}}
{{- $links := $root.Values.monitoring.links -}}
{{- $domain := printf "%s%s" $root.Values.gateway.domain (include "bellwether.publicPort" $root) -}}
{{- $facts := dict
  "namespace" $root.Release.Namespace
  "route" (printf "%s-forecast" (include "bellwether.fullname" $root))
  "podJob" (printf "%s/%s" $root.Release.Namespace (include "bellwether.monitoring.podMonitor" $root))
  "runbooks" ($root.Values.monitoring.runbookBase | default "/d/bellwether-runbooks")
  "page" ($links.page | default (printf "http://%s" $domain))
  "mlflow" ($links.mlflow | default (printf "http://mlflow.%s" $domain))
-}}
{{- range $name, $address := include "bellwether.monitoring.runbooks" $root | fromYaml -}}
{{- $_ := set $facts (printf "runbook%s" $name) $address -}}
{{- end -}}
{{- range $name, $value := merge $facts $root.Values.monitoring.thresholds -}}
{{- if and (kindIs "float64" $value) (eq (floor $value) $value) -}}
{{- $value = printf "%.0f" $value -}}
{{- end -}}
{{- $value = toString $value -}}
{{- /* In JSON a number stands in quotes, so that the file is JSON before it is filled in. */ -}}
{{- $text = $text | replace (printf "\"=@%s@\"" $name) $value | replace (printf "@%s@" $name) $value -}}
{{- end -}}
{{- with regexFind "@[a-zA-Z0-9]+@" $text -}}
{{- fail (printf "%s has %s, which is neither a key of monitoring.thresholds nor a fact of the release. Add the threshold, or correct the name." $.file .) -}}
{{- end -}}
{{- $text -}}
{{- end -}}

{{/*
Each alert's runbook: under monitoring.runbookBase, or in the runbooks' own dashboard, where panel N is
the N-th of them.
*/}}
{{- define "bellwether.monitoring.runbooks" -}}
{{- $number := 0 -}}
{{- range $file, $bytes := .Files.Glob "runbooks/*.md" -}}
{{- $number = add1 $number -}}
{{- $name := base $file | trimSuffix ".md" -}}
{{- if $.Values.monitoring.runbookBase }}
{{ $name }}: {{ printf "%s/%s.md" ($.Values.monitoring.runbookBase | trimSuffix "/") $name }}
{{- else }}
{{ $name }}: {{ printf "http://grafana.%s%s/d/bellwether-runbooks?viewPanel=%d" $.Values.gateway.domain (include "bellwether.publicPort" $) $number }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "bellwether.monitoring.podMonitor" -}}
{{- include "bellwether.fullname" . }}-models
{{- end -}}

{{/* "true" when the alerts have a receiver. */}}
{{- define "bellwether.monitoring.receives" -}}
{{- $receivers := .Values.monitoring.receivers -}}
{{- if or $receivers.email.to $receivers.slack.existingSecret $receivers.webhook.existingSecret }}true{{ end -}}
{{- end -}}
