{{/* A symbol the model was trained for. */}}
{{- define "bellwether.tests.symbol" -}}
{{- if .Values.training.symbols -}}{{ first .Values.training.symbols }}
{{- else -}}AAPL
{{- end -}}
{{- end -}}
