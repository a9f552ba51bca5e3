{{- define "kfp.mysql.wanted" -}}
{{- and (not .Values.database.host) .Values.database.embedded.enabled | ternary "true" "" -}}
{{- end -}}
