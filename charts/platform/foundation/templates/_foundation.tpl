{{- /* Labels of everything here. */}}
{{- define "foundation.labels" -}}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
app.kubernetes.io/name: foundation
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/part-of: bellwether
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- /* What is kept when the release goes: losing it would lose the data it opens. */}}
{{- define "foundation.keep" -}}
helm.sh/resource-policy: keep
{{- end }}

{{- /* One value that outlives upgrades: the first of these Secrets that has it, else the given one.
       Call with (list (list namespace secret key) ...) and "fresh". */}}
{{- define "foundation.once" -}}
{{- $found := "" }}
{{- range .places }}
{{- if and (not $found) (index . 0) }}
{{- $secret := lookup "v1" "Secret" (index . 0) (index . 1) }}
{{- if $secret }}
{{- $found = get ($secret.data | default dict) (index . 2) | b64dec }}
{{- end }}
{{- end }}
{{- end }}
{{- $found | default .fresh }}
{{- end }}
