{{/* Label selector of this chart's pods, by their name in flows.yaml; workflow pods have Argo's label. */}}
{{- define "kfp.network.pods" -}}
{{- if eq .endpoint "workflows" -}}
matchExpressions:
  - {key: workflows.argoproj.io/workflow, operator: Exists}
{{- else -}}
matchLabels:
  {{- include "kfp.selector" (dict "root" .root "component" .endpoint) | nindent 2 }}
{{- end -}}
{{- end -}}

{{/* Names in flows.yaml that are components of this release, as JSON: embedded stores are, external ones are not. */}}
{{- define "kfp.network.components" -}}
{{- $components := list "apiserver" "persistenceagent" "scheduledworkflow" "metadata" "workflow-controller" "workflows" "test" -}}
{{- if .Values.ui.enabled }}{{ $components = concat $components (list "ui" "metadata-envoy") }}{{ end -}}
{{- if include "kfp.mysql.embedded" . }}{{ $components = append $components "mysql" }}{{ end -}}
{{- if include "kfp.seaweedfs.embedded" . }}{{ $components = append $components "seaweedfs" }}{{ end -}}
{{- toJson $components -}}
{{- end -}}

{{/* The list of flows with `when` decided and the embedded stores by their names, as JSON. */}}
{{- define "kfp.network.flows" -}}
{{- $root := . -}}
{{- $flows := list -}}
{{- range .Files.Get "flows.yaml" | fromYamlArray -}}
{{- $holds := true -}}
{{- if .when -}}
{{- $holds = $root.Values -}}
{{- range splitList "." .when }}{{ $holds = index $holds . }}{{ end -}}
{{- end -}}
{{- $to := .to -}}
{{- if and (eq $to "database") (include "kfp.mysql.embedded" $root) }}{{ $to = "mysql" }}{{ end -}}
{{- if and (eq $to "objectStore") (include "kfp.seaweedfs.embedded" $root) }}{{ $to = "seaweedfs" }}{{ end -}}
{{- if $holds }}{{ $flows = append $flows (dict "from" .from "to" $to "why" .why) }}{{ end -}}
{{- end -}}
{{- toJson $flows -}}
{{- end -}}

{{/* Ports on which this chart's pods listen; a list in YAML. */}}
{{- define "kfp.network.port" -}}
{{- if and (eq .endpoint "apiserver") (eq .from "kubernetes") }}[{protocol: TCP, port: 8443}]
{{- else if eq .endpoint "apiserver" }}[{protocol: TCP, port: 8888}, {protocol: TCP, port: 8887}]
{{- else if eq .endpoint "ui" }}[{protocol: TCP, port: 3000}]
{{- else if eq .endpoint "metadata" }}[{protocol: TCP, port: 8080}]
{{- else if eq .endpoint "metadata-envoy" }}[{protocol: TCP, port: 9090}]
{{- else if eq .endpoint "mysql" }}[{protocol: TCP, port: {{ .root.Values.database.port }}}]
{{- else if eq .endpoint "seaweedfs" }}[{protocol: TCP, port: 8333}]
{{- end }}
{{- end -}}

{{/* A namespace, or, when it is empty, the networks outside the cluster: peers of a policy. */}}
{{- define "kfp.network.peers" -}}
{{- if .namespace -}}
- namespaceSelector:
    matchLabels: {kubernetes.io/metadata.name: {{ .namespace }}}
{{- else -}}
{{- range $number, $cidr := .root.Values.networkPolicies.externalCidrs }}
{{- if $number }}
{{ end -}}
- ipBlock: {cidr: {{ $cidr }}}
{{- end }}
{{- end -}}
{{- end -}}

{{/* Egress rules to something outside this chart. (dict "root" $ "endpoint" "database") */}}
{{- define "kfp.network.egress" -}}
{{- $policies := .root.Values.networkPolicies -}}
{{- if eq .endpoint "dns" -}}
- to:
    - namespaceSelector:
        matchLabels: {kubernetes.io/metadata.name: kube-system}
      podSelector:
        matchLabels: {k8s-app: kube-dns}
  ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]
{{- else if eq .endpoint "kubernetes" -}}
- to:
    - ipBlock: {cidr: {{ $policies.kubernetes.cidr }}}
  ports:
    {{- range $policies.kubernetes.ports }}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
{{- else if eq .endpoint "objectStore" -}}
- to:
    {{- include "kfp.network.peers" (dict "root" .root "namespace" $policies.objectStore.namespace) | nindent 4 }}
  ports: [{protocol: TCP, port: {{ $policies.objectStore.port }}}]
{{- else if eq .endpoint "database" -}}
- to:
    {{- include "kfp.network.peers" (dict "root" .root "namespace" $policies.database.namespace) | nindent 4 }}
  ports: [{protocol: TCP, port: {{ .root.Values.database.port }}}]
{{- else if eq .endpoint "elsewhere" -}}
{{- range $number, $step := $policies.steps }}
{{- with $step }}
{{- if $number }}
{{ end -}}
- to:
    {{- if .namespace }}
    - namespaceSelector:
        matchLabels: {kubernetes.io/metadata.name: {{ .namespace }}}
    {{- else }}
    - ipBlock:
        cidr: {{ .cidr }}
        {{- with .except }}
        except: {{ toJson . }}
        {{- end }}
    {{- end }}
  ports:
    {{- range .ports }}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
{{- end }}
{{- end }}
{{- else -}}
{{- fail (printf "flows.yaml leads to %q, which no policy knows. Describe it in templates/network/_helpers.tpl." .endpoint) -}}
{{- end -}}
{{- end -}}

{{/* Sources outside this chart. (dict "root" $ "from" "clients") */}}
{{- define "kfp.network.sources" -}}
{{- $policies := .root.Values.networkPolicies -}}
{{- if has .from (list "clients" "uiClients") -}}
- namespaceSelector:
    matchExpressions:
      - {key: kubernetes.io/metadata.name, operator: In, values: {{ index $policies .from | toJson }}}
{{- else if eq .from "kubernetes" -}}
- ipBlock: {cidr: {{ $policies.kubernetes.cidr }}}
{{- else -}}
{{- fail (printf "flows.yaml starts at %q, which no policy knows. Describe it in templates/network/_helpers.tpl." .from) -}}
{{- end -}}
{{- end -}}
