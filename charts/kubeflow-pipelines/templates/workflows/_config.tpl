{{/* Configuration of Argo's controller. Without templateDefaults: a retryStrategy there, with retryPolicy OnError, would
     stand in for the policy that a pipeline's own set_retry() leaves open, and a step that exits non-zero would not be
     tried again. */}}
{{- define "kfp.workflows.config" -}}
{{- $store := include "kfp.objectStore.address" . | fromJson -}}
{{- $secret := include "kfp.objectStore.secret" . -}}
artifactRepository: |
  archiveLogs: {{ .Values.workflows.archiveLogs }}
  s3:
    endpoint: {{ $store.hostPort | quote }}
    region: {{ .Values.objectStore.region }}
    bucket: {{ .Values.objectStore.bucket }}
    insecure: {{ not $store.secure }}
    keyFormat: {{ include "kfp.logs.keyFormat" . | quote }}
    accessKeySecret: {name: {{ $secret }}, key: {{ .Values.objectStore.accessKeyName }}}
    secretKeySecret: {name: {{ $secret }}, key: {{ .Values.objectStore.secretKeyName }}}
executor: |
  imagePullPolicy: {{ .Values.images.pullPolicy }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    allowPrivilegeEscalation: false
    capabilities:
      drop: [ALL]
    seccompProfile:
      type: RuntimeDefault
  resources:
    {{- toYaml .Values.workflows.executor.resources | nindent 4 }}
workflowDefaults: |
  spec:
    ttlStrategy:
      secondsAfterCompletion: {{ int .Values.workflows.ttlSeconds }}
{{- with .Values.workflows.parallelism }}
parallelism: {{ . | quote }}
{{- end }}
{{- end -}}

{{/* The object store of drivers and launchers, with its credentials, for both schemes (minio://, s3://). */}}
{{- define "kfp.workflows.providers" -}}
{{- $store := include "kfp.objectStore.address" . | fromJson -}}
{{- range $scheme := list "minio" "s3" }}
{{ $scheme }}:
  default:
    endpoint: {{ $store.hostPort | quote }}
    region: {{ $.Values.objectStore.region }}
    disableSSL: {{ not $store.secure }}
    forcePathStyle: true
    credentials:
      fromEnv: false
      secretRef:
        secretName: {{ include "kfp.objectStore.secret" $ }}
        accessKeyKey: {{ $.Values.objectStore.accessKeyName }}
        secretKeyKey: {{ $.Values.objectStore.secretKeyName }}
{{- end }}
{{- end -}}
