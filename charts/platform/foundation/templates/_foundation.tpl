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
