{{/* Parts of every pod: the restricted standard, a read-only root, no service links. */}}

{{/* metadata of a pod template. (dict "root" $ "component" "ui" "config" "text that pods roll with") */}}
{{- define "kfp.pod.metadata" -}}
labels:
  {{- include "kfp.labels" .root | nindent 2 }}
  app.kubernetes.io/component: {{ .component }}
  {{- with .root.Values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- if or .config .root.Values.podAnnotations }}
annotations:
  {{- with .config }}
  checksum/config: {{ . | sha256sum }}
  {{- end }}
  {{- with .root.Values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* A pod's spec but its containers and volumes. (dict "root" $ "account" "ml-pipeline" "token" true "user" 1000 "group" 0)
     Service links are off: their variables would override the addresses that this chart sets. */}}
{{- define "kfp.pod.spec" -}}
serviceAccountName: {{ .account }}
automountServiceAccountToken: {{ .token | default false }}
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: {{ .user }}
  runAsGroup: {{ .group }}
  {{- with .fsGroup }}
  fsGroup: {{ . }}
  fsGroupChangePolicy: OnRootMismatch
  {{- end }}
  seccompProfile:
    type: RuntimeDefault
{{- with .root.Values.images.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "kfp.container.security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* name, image and pull policy of a container. (dict "root" $ "name" "ui" "image" .Values.images.ui) */}}
{{- define "kfp.container.image" -}}
name: {{ .name }}
image: {{ include "kfp.image" . }}
imagePullPolicy: {{ .root.Values.images.pullPolicy }}
{{- end -}}

{{/* An init container that waits until a port is open. (dict "root" $ "name" "wait-for-x" "host" "x" "port" 80)
     busybox has nc, Debian's images have bash, which opens connections itself. */}}
{{- define "kfp.container.wait" -}}
{{ include "kfp.container.image" (dict "root" .root "name" .name "image" .root.Values.images.wait) }}
command: [/bin/sh, -ec]
args:
  - |
    listens() {
      if command -v nc >/dev/null; then nc -z -w 2 "$WAIT_HOST" "$WAIT_PORT"
      else timeout 2 bash -c ': </dev/tcp/"$WAIT_HOST"/"$WAIT_PORT"'
      fi 2>/dev/null
    }
    for attempt in $(seq 150); do
      if listens; then exit 0; fi
      echo "$WAIT_HOST:$WAIT_PORT does not listen yet ($attempt of 150)"
      sleep 2
    done
    echo "$WAIT_HOST:$WAIT_PORT did not listen within five minutes" >&2
    exit 1
env:
  - {name: WAIT_HOST, value: {{ .host | quote }}}
  - {name: WAIT_PORT, value: {{ .port | quote }}}
securityContext:
  {{- include "kfp.container.security" . | nindent 2 }}
resources:
  requests: {cpu: 10m, memory: 16Mi}
  limits: {cpu: 100m, memory: 64Mi}
{{- end -}}

{{- define "kfp.volume.tmp" -}}
- name: tmp
  emptyDir:
    sizeLimit: 1Gi
{{- end -}}

{{- define "kfp.mount.tmp" -}}
- {name: tmp, mountPath: /tmp}
{{- end -}}

{{/* The token by which the API server authenticates the persistence agent and the controller. */}}
{{- define "kfp.volume.token" -}}
- name: token
  projected:
    sources:
      - serviceAccountToken:
          path: {{ . }}
          expirationSeconds: 3600
          audience: pipelines.kubeflow.org
{{- end -}}

{{/* A ServiceAccount. (dict "root" $ "component" "ui" "name" "ml-pipeline-ui") */}}
{{- define "kfp.account" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "kfp.metadata" . | nindent 2 }}
automountServiceAccountToken: false
{{- end -}}

{{/* The binding of a component's Role to its account, by default all of one name.
     (dict "root" $ "component" "ui" "name" "ml-pipeline-ui" "role" "x" "account" "y") */}}
{{- define "kfp.binding" -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  {{- include "kfp.metadata" . | nindent 2 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ .role | default .name }}
subjects:
  - kind: ServiceAccount
    name: {{ .account | default .name }}
    namespace: {{ .root.Release.Namespace }}
{{- end -}}
