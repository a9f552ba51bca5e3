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

{{/* Name of the Secret with an account's keys. (dict "root" $ "account" "page"); account "": the owner's. */}}
{{- define "bellwether.objectStore.secret" -}}
{{- $store := .root.Values.objectStore -}}
{{- get $store.accounts .account | default $store.existingSecret -}}
{{- end -}}

{{/* (dict "root" $ "account" "page"), as above. */}}
{{- define "bellwether.env.objectStore" -}}
{{- $secret := include "bellwether.objectStore.secret" . -}}
{{- $store := .root.Values.objectStore -}}
- name: AWS_ACCESS_KEY_ID
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: AWS_ACCESS_KEY_ID}}
- name: AWS_SECRET_ACCESS_KEY
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: AWS_SECRET_ACCESS_KEY}}
- name: AWS_ENDPOINT_URL
  value: {{ $store.endpoint }}
- name: AWS_REGION
  value: {{ $store.region }}
- name: AWS_DEFAULT_REGION
  value: {{ $store.region }}
{{- end -}}

{{/* The login stands before the URLs that name it: Kubernetes expands in this order. (dict "root" $ "account" "page"), as above. */}}
{{- define "bellwether.env.login" -}}
{{- $database := .root.Values.database -}}
{{- $secret := get $database.accounts .account | default $database.existingSecret -}}
- name: DATABASE_USERNAME
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: username}}
- name: DATABASE_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: password}}
{{- end -}}

{{/* Prediction log and promotions ledger. (dict "root" $ "account" "page"), as above. */}}
{{- define "bellwether.env.database" -}}
{{ include "bellwether.env.login" . }}
- name: BELLWETHER_PREDICTION_LOG_URL
  value: {{ include "bellwether.database.url" (dict "root" .root "name" .root.Values.database.logName) }}
{{- end -}}

{{/* The roles that `bellwether prepare` makes, each with the password that its component has. */}}
{{- define "bellwether.env.roles" }}
{{- $database := .Values.database -}}
{{- range $account, $secret := $database.accounts -}}
{{- if $secret }}
- name: BELLWETHER_ROLE_{{ upper $account }}
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: username}}
- name: BELLWETHER_ROLE_{{ upper $account }}_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: password}}
{{- end -}}
{{- end }}
- name: BELLWETHER_READER_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ $database.existingSecret }}, key: readerPassword, optional: true}}
{{- end -}}

{{- define "bellwether.database.url" -}}
{{- $database := .root.Values.database -}}
{{- printf "postgresql+psycopg://$(DATABASE_USERNAME):$(DATABASE_PASSWORD)@%s:%v/%s?sslmode=%s" $database.host $database.port .name $database.sslMode | quote -}}
{{- end -}}

{{/* Of the prediction log and the ledger, without a login. */}}
{{- define "bellwether.database.logAddress" -}}
{{- $database := .Values.database -}}
{{- printf "postgresql+psycopg://%s:%v/%s?sslmode=%s" $database.host $database.port $database.logName $database.sslMode -}}
{{- end -}}

{{/* What the container that registers versions signs and compares with; no other container gets the private key. */}}
{{- define "bellwether.env.signing" -}}
{{- with .Values.signing.existingSecret }}
- name: BELLWETHER_SIGNING_KEY
  valueFrom: {secretKeyRef: {name: {{ . }}, key: signing.pem}}
{{- end }}
{{- with include "bellwether.signing.trustedKeys" . }}
- name: BELLWETHER_TRUSTED_KEYS
  value: {{ toJson . }}
{{- end }}
{{- end -}}

{{/* A container of the pipeline image. (dict "root" $ "name" "drift" "arguments" (list ...) "resources" ...); "store" and
     "database" name its accounts: without one it gets no key of the object store, or no login of the database. "registers"
     true: it registers versions. */}}
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
  {{- with .store }}
  {{- include "bellwether.env.objectStore" (dict "root" $.root "account" .) | nindent 2 }}
  {{- end }}
  {{- with .database }}
  {{- include "bellwether.env.database" (dict "root" $.root "account" .) | nindent 2 }}
  {{- end }}
  {{- with .root.Values.providers.existingSecret }}
  - name: BELLWETHER_TIINGO_TOKEN
    valueFrom: {secretKeyRef: {name: {{ . }}, key: tiingoToken, optional: true}}
  - name: BELLWETHER_TINVEST_TOKEN
    valueFrom: {secretKeyRef: {name: {{ . }}, key: tinvestToken, optional: true}}
  {{- end }}
  {{- if .registers }}
  {{- include "bellwether.env.signing" .root | nindent 2 }}
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
