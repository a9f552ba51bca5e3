{{- define "kfp.mysql.embedded" -}}
{{- and (not .Values.database.host) .Values.database.embedded.enabled | ternary "true" "" -}}
{{- end -}}
