{{/* Every BELLWETHER_* variable that is neither secret nor specific to one pod. */}}
{{- define "bellwether.settings.data" -}}
BELLWETHER_STATE_DIR: /var/lib/bellwether
BELLWETHER_LAKE_URL: s3://{{ .Values.objectStore.bucket }}/lake
BELLWETHER_REGISTRY_URL: {{ include "bellwether.mlflow.url" . }}
BELLWETHER_REGISTRY_PUBLIC_URL: {{ include "bellwether.mlflow.publicUrl" . }}
BELLWETHER_REGISTERED_MODEL: {{ .Values.model.name }}
BELLWETHER_SERVER_HOST: 0.0.0.0
BELLWETHER_HTTP_PORT: "8080"
BELLWETHER_GRPC_PORT: {{ ternary "8081" "0" .Values.serving.grpc | quote }}
BELLWETHER_INFERENCE_URL: {{ include "bellwether.forecast.url" . }}
BELLWETHER_PUSHGATEWAY_URL: {{ .Values.pushgateway.url }}
BELLWETHER_PAGE_HOST: 0.0.0.0
BELLWETHER_PAGE_PORT: "7860"
BELLWETHER_PAGE_ROOT_PATH: {{ .Values.page.rootPath | quote }}
BELLWETHER_PAGE_LOGIN: {{ include "bellwether.login.page" . | quote }}
BELLWETHER_PAGE_USER_HEADER: {{ include "bellwether.login.userHeader" . | quote }}
BELLWETHER_PAGE_READERS: {{ join "," .Values.page.roles.readers | default "-" | quote }}
BELLWETHER_PAGE_TRAINERS: {{ join "," .Values.page.roles.trainers | default "-" | quote }}
BELLWETHER_PAGE_OPERATORS: {{ join "," .Values.page.roles.operators | default "-" | quote }}
BELLWETHER_PAGE_TRAINS: {{ .Values.page.trains | quote }}
BELLWETHER_PAGE_APPROVALS: {{ include "bellwether.rollout.approval" . | quote }}
BELLWETHER_PIPELINES_URL: {{ include "bellwether.pipelines.url" . | quote }}
BELLWETHER_PIPELINES_PUBLIC_URL: {{ eq .Values.training.engine "kfp" | ternary (include "bellwether.pipelines.publicUrl" .) "" | quote }}
{{- include "bellwether.settings.free" . }}
{{- end -}}

{{/* The values under `settings`, one a line. */}}
{{- define "bellwether.settings.free" -}}
{{- range $key, $value := .Values.settings }}
BELLWETHER_{{ snakecase $key | upper }}: {{ kindIs "string" $value | ternary $value (toJson $value) | quote }}
{{- end }}
{{- end -}}
