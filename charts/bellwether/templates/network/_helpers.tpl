{{/* Label selector of this chart's pods, by their name in flows.yaml. */}}
{{- define "bellwether.network.pods" -}}
{{- if eq .endpoint "model" -}}
matchExpressions:
  - {key: serving.kserve.io/inferenceservice, operator: Exists}
{{- else -}}
matchLabels:
  {{- include "bellwether.selector" (dict "root" .root "component" .endpoint) | nindent 2 }}
{{- end -}}
{{- end -}}

{{/* Components of this release, which depend on the engine, as JSON. */}}
{{- define "bellwether.network.components" -}}
{{- $components := list "page" "mlflow" "model" "rollout" "drift" "test" -}}
{{- if eq .Values.training.engine "job" -}}
{{- $components = concat $components (list "training" "refresh") -}}
{{- else -}}
{{- $components = append $components "submit" -}}
{{- end -}}
{{- toJson $components -}}
{{- end -}}

{{/* Whether a name in flows.yaml is a component of this chart, rendered or not. */}}
{{- define "bellwether.network.internal" -}}
{{- has . (list "page" "mlflow" "model" "training" "refresh" "submit" "rollout" "drift" "test") | ternary "true" "" -}}
{{- end -}}

{{/* Whether a flow's `when` holds: a value that is true, or path=what it is. (dict "root" $ "when" "...") */}}
{{- define "bellwether.network.holds" -}}
{{- $condition := splitList "=" .when -}}
{{- $value := .root.Values -}}
{{- range splitList "." (first $condition) }}{{ $value = index $value . }}{{ end -}}
{{- if rest $condition }}{{ eq (toString $value) (last $condition) | ternary "true" "" }}{{ else if $value }}true{{ end -}}
{{- end -}}

{{/* Ports on which this chart's pods listen; a list in YAML. */}}
{{- define "bellwether.network.port" -}}
{{- if eq .endpoint "page" }}[{protocol: TCP, port: 7860}]
{{- else if eq .endpoint "mlflow" }}[{protocol: TCP, port: 5000}]
{{- else if and (eq .endpoint "model") .root.Values.serving.grpc (eq .from "gateway") }}[{protocol: TCP, port: 8080}, {protocol: TCP, port: 8081}]
{{- else if eq .endpoint "model" }}[{protocol: TCP, port: 8080}]
{{- end }}
{{- end -}}

{{/* A namespace, or, when it is empty, the networks outside the cluster: peers of a policy. */}}
{{- define "bellwether.network.peers" -}}
{{- if .namespace -}}
- namespaceSelector:
    matchLabels: {kubernetes.io/metadata.name: {{ .namespace }}}
{{- else -}}
{{- range .root.Values.networkPolicies.externalCidrs }}
- ipBlock: {cidr: {{ . }}}
{{- end }}
{{- end -}}
{{- end -}}

{{/* An egress rule to something outside this chart. (dict "root" $ "endpoint" "database") */}}
{{- define "bellwether.network.egress" -}}
{{- $policies := .root.Values.networkPolicies -}}
{{- if eq .endpoint "dns" -}}
- to:
    - namespaceSelector:
        matchLabels: {kubernetes.io/metadata.name: kube-system}
      podSelector:
        matchLabels: {k8s-app: kube-dns}
  ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]
{{- else if eq .endpoint "gateway" -}}
- to:
    {{- include "bellwether.network.peers" (dict "root" .root "namespace" $policies.gatewayNamespace) | nindent 4 }}
  ports: [{protocol: TCP, port: {{ $policies.gatewayPort }}}]
{{- else if eq .endpoint "objectStore" -}}
- to:
    {{- include "bellwether.network.peers" (dict "root" .root "namespace" $policies.objectStore.namespace) | nindent 4 }}
  ports: [{protocol: TCP, port: {{ $policies.objectStore.port }}}]
{{- else if eq .endpoint "database" -}}
- to:
    {{- include "bellwether.network.peers" (dict "root" .root "namespace" $policies.database.namespace) | nindent 4 }}
  ports: [{protocol: TCP, port: {{ .root.Values.database.port }}}]
{{- else if eq .endpoint "pushgateway" -}}
- to:
    {{- include "bellwether.network.peers" (dict "root" .root "namespace" $policies.pushgateway.namespace) | nindent 4 }}
  ports: [{protocol: TCP, port: {{ $policies.pushgateway.port }}}]
{{- else if eq .endpoint "monitoring" -}}
- to:
    {{- include "bellwether.network.peers" (dict "root" .root "namespace" $policies.prometheus.namespace) | nindent 4 }}
  ports: [{protocol: TCP, port: {{ $policies.prometheus.port }}}]
{{- else if eq .endpoint "kubeflowPipelines" -}}
- to:
    {{- include "bellwether.network.peers" (dict "root" .root "namespace" .root.Values.kubeflowPipelines.namespace) | nindent 4 }}
  ports: [{protocol: TCP, port: {{ $policies.kubeflowPipelines.port }}}]
{{- else if eq .endpoint "apiServer" -}}
- to:
    - ipBlock: {cidr: {{ $policies.apiServer.cidr }}}
  ports:
    {{- range $policies.apiServer.ports }}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
{{- else if eq .endpoint "prices" -}}
- to:
    - ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 169.254.0.0/16]}
  ports: [{protocol: TCP, port: 443}, {protocol: TCP, port: 80}]
{{- else -}}
{{- fail (printf "flows.yaml leads to %q, which no policy knows. Describe it in templates/network/_helpers.tpl." .endpoint) -}}
{{- end -}}
{{- end -}}

{{/* Sources outside this chart. (dict "root" $ "from" "gateway") */}}
{{- define "bellwether.network.sources" -}}
{{- $policies := .root.Values.networkPolicies -}}
{{- if eq .from "gateway" -}}
- namespaceSelector:
    matchLabels: {kubernetes.io/metadata.name: {{ $policies.gatewayNamespace }}}
{{- else if eq .from "steps" -}}
- namespaceSelector:
    matchLabels: {kubernetes.io/metadata.name: {{ .root.Values.kubeflowPipelines.namespace }}}
  podSelector:
    matchLabels: {pipelines.kubeflow.org/v2_component: "true"}
{{- else if eq .from "prometheus" -}}
- namespaceSelector:
    matchLabels: {kubernetes.io/metadata.name: {{ $policies.monitoringNamespace }}}
{{- else -}}
{{- fail (printf "flows.yaml starts at %q, which no policy knows. Describe it in templates/network/_helpers.tpl." .from) -}}
{{- end -}}
{{- end -}}
