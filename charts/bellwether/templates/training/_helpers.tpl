{{/* The only container that may use the Kubernetes API: it alone mounts a token. */}}
{{- define "bellwether.rollout.container" -}}
{{- $fullname := include "bellwether.fullname" . -}}
{{- include "bellwether.container.pipeline" (dict "root" . "name" "rollout"
  "arguments" (concat (list "rollout" "run" "champion") (eq .Values.training.engine "kfp" | ternary (list "--when-due") list) (list "--namespace" .Release.Namespace "--release" $fullname))
  "resources" (dict "requests" (dict "cpu" "50m" "memory" "192Mi") "limits" (dict "memory" "512Mi"))) }}
  - name: token
    mountPath: /var/run/secrets/kubernetes.io/serviceaccount
    readOnly: true
{{- end -}}

{{/* The equivalent of an automounted token, for one container and valid for an hour. */}}
{{- define "bellwether.rollout.tokenVolume" -}}
- name: token
  projected:
    sources:
      - serviceAccountToken: {path: token, expirationSeconds: 3600}
      - configMap:
          name: kube-root-ca.crt
          items: [{key: ca.crt, path: ca.crt}]
      - downwardAPI:
          items: [{path: namespace, fieldRef: {fieldPath: metadata.namespace}}]
{{- end -}}
