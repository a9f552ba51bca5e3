{{/* Parts of every pod: no token, user 10001, two writable folders. */}}

{{/* metadata of a pod template. (dict "root" $ "component" "page") */}}
{{- define "bellwether.pod.metadata" -}}
labels:
  {{- include "bellwether.labels" .root | nindent 2 }}
  app.kubernetes.io/component: {{ .component }}
  {{- with .root.Values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  checksum/config: {{ include "bellwether.settings.data" .root | sha256sum }}
  {{- with .root.Values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* Where pods may run, and with which registry credentials. */}}
{{- define "bellwether.pod.placement" -}}
{{- with .Values.images.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "bellwether.pod.security" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "bellwether.container.security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* The two folders a process may write to; HOME is the second. */}}
{{- define "bellwether.pod.volumes" -}}
- name: tmp
  emptyDir:
    sizeLimit: 2Gi
- name: state
  emptyDir:
    sizeLimit: 2Gi
{{- end -}}

{{- define "bellwether.container.mounts" -}}
- name: tmp
  mountPath: /tmp
- name: state
  mountPath: /var/lib/bellwether
{{- end -}}

{{/* Everything of a pod's spec but its containers. */}}
{{- define "bellwether.pod.spec" -}}
serviceAccountName: {{ include "bellwether.fullname" . }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  {{- include "bellwether.pod.security" . | nindent 2 }}
{{- include "bellwether.pod.placement" . }}
volumes:
  {{- include "bellwether.pod.volumes" . | nindent 2 }}
{{- end -}}

{{- define "bellwether.env.settings" -}}
- configMapRef:
    name: {{ include "bellwether.fullname" . }}-settings
{{- end -}}

{{- define "bellwether.env.objectStore" -}}
{{- $secret := .Values.objectStore.existingSecret -}}
- name: AWS_ACCESS_KEY_ID
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: AWS_ACCESS_KEY_ID}}
- name: AWS_SECRET_ACCESS_KEY
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: AWS_SECRET_ACCESS_KEY}}
- name: AWS_ENDPOINT_URL
  value: {{ .Values.objectStore.endpoint }}
- name: AWS_REGION
  value: {{ .Values.objectStore.region }}
- name: AWS_DEFAULT_REGION
  value: {{ .Values.objectStore.region }}
{{- end -}}

{{/* The password stands before the URL that names it: Kubernetes expands in this order. */}}
{{- define "bellwether.env.database" -}}
{{- $secret := .Values.database.existingSecret -}}
- name: DATABASE_USERNAME
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: username}}
- name: DATABASE_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: password}}
- name: BELLWETHER_PREDICTION_LOG_URL
  value: {{ include "bellwether.database.url" (dict "root" . "name" .Values.database.logName) }}
{{- end -}}

{{- define "bellwether.database.url" -}}
{{- $database := .root.Values.database -}}
{{- printf "postgresql+psycopg://$(DATABASE_USERNAME):$(DATABASE_PASSWORD)@%s:%v/%s?sslmode=%s" $database.host $database.port .name $database.sslMode | quote -}}
{{- end -}}

{{/* A container of the pipeline image. (dict "root" $ "name" "drift" "command" (list ...) "resources" ...) */}}
{{- define "bellwether.container.pipeline" -}}
name: {{ .name }}
image: {{ include "bellwether.image" (dict "root" .root "image" .root.Values.images.pipeline) }}
imagePullPolicy: {{ .root.Values.images.pullPolicy }}
command: [python, -m, bellwether]
args:
  {{- toYaml .arguments | nindent 2 }}
envFrom:
  {{- include "bellwether.env.settings" .root | nindent 2 }}
env:
  {{- include "bellwether.env.objectStore" .root | nindent 2 }}
  {{- include "bellwether.env.database" .root | nindent 2 }}
  {{- with .root.Values.providers.existingSecret }}
  - name: BELLWETHER_TIINGO_TOKEN
    valueFrom: {secretKeyRef: {name: {{ . }}, key: tiingoToken, optional: true}}
  - name: BELLWETHER_TINVEST_TOKEN
    valueFrom: {secretKeyRef: {name: {{ . }}, key: tinvestToken, optional: true}}
  {{- end }}
  - name: MLFLOW_DISABLE_TELEMETRY
    value: "true"
  - name: PYTHONUNBUFFERED
    value: "1"
securityContext:
  {{- include "bellwether.container.security" .root | nindent 2 }}
resources:
  {{- toYaml .resources | nindent 2 }}
terminationMessagePolicy: FallbackToLogsOnError
volumeMounts:
  {{- include "bellwether.container.mounts" .root | nindent 2 }}
{{- end -}}

{{/* A CronJob's spec up to its pod. (dict "root" $ "job" .Values.drift) */}}
{{- define "bellwether.cronjob.schedule" -}}
schedule: {{ .job.schedule | quote }}
timeZone: {{ .job.timeZone }}
suspend: {{ .job.suspend }}
concurrencyPolicy: Forbid
startingDeadlineSeconds: 300
successfulJobsHistoryLimit: 3
failedJobsHistoryLimit: 3
{{- end -}}

{{- define "bellwether.cronjob.job" -}}
activeDeadlineSeconds: {{ .job.deadlineSeconds }}
backoffLimit: {{ .job.backoffLimit }}
ttlSecondsAfterFinished: 604800
{{- end -}}

{{/* Which prices: options that the training and the refresh share. */}}
{{- define "bellwether.prices.arguments" -}}
{{- $training := .Values.training -}}
- --source
- {{ $training.source }}
- --interval
- {{ $training.interval }}
- --dataset
- {{ $training.dataset | default (printf "%s-%s" $training.source $training.interval) }}
{{- with $training.symbols }}
- --symbols
- {{ join "," . | quote }}
{{- end }}
{{- end -}}
