{{- define "kfp.seaweedfs.embedded" -}}
{{- and (not .Values.objectStore.endpoint) .Values.objectStore.embedded.enabled | ternary "true" "" -}}
{{- end -}}
