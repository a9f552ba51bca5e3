{{- define "kfp.seaweedfs.wanted" -}}
{{- and (not .Values.objectStore.endpoint) .Values.objectStore.embedded.enabled | ternary "true" "" -}}
{{- end -}}
