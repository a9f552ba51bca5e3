{{/* Label selector of this chart's pods, by their name in flows.yaml; workflow pods have Argo's label. */}}
{{- define "kfp.network.pods" -}}
{{- if eq .end "workflows" -}}
matchExpressions:
  - {key: workflows.argoproj.io/workflow, operator: Exists}
{{- else -}}
matchLabels:
  {{- include "kfp.selector" (dict "root" .root "component" .end) | nindent 2 }}
{{- end -}}
{{- end -}}

{{/* Names in flows.yaml that are components of this release, as JSON: embedded stores are, external ones are not. */}}
{{- define "kfp.network.ours" -}}
{{- $ours := list "apiserver" "persistenceagent" "scheduledworkflow" "metadata" "workflow-controller" "workflows" "test" -}}
{{- if .Values.ui.enabled }}{{ $ours = concat $ours (list "ui" "metadata-envoy") }}{{ end -}}
{{- if include "kfp.mysql.wanted" . }}{{ $ours = append $ours "mysql" }}{{ end -}}
{{- if include "kfp.seaweedfs.wanted" . }}{{ $ours = append $ours "seaweedfs" }}{{ end -}}
{{- toJson $ours -}}
{{- end -}}

{{/* The list of flows with `when` decided and the embedded stores by their names, as JSON. */}}
{{- define "kfp.network.flows" -}}
{{- $root := . -}}
{{- $flows := list -}}
{{- range .Files.Get "flows.yaml" | fromYamlArray -}}
{{- $wanted := true -}}
{{- if .when -}}
{{- $wanted = $root.Values -}}
{{- range splitList "." .when }}{{ $wanted = index $wanted . }}{{ end -}}
{{- end -}}
{{- $to := .to -}}
{{- if and (eq $to "database") (include "kfp.mysql.wanted" $root) }}{{ $to = "mysql" }}{{ end -}}
{{- if and (eq $to "objectStore") (include "kfp.seaweedfs.wanted" $root) }}{{ $to = "seaweedfs" }}{{ end -}}
{{- if $wanted }}{{ $flows = append $flows (dict "from" .from "to" $to "why" .why) }}{{ end -}}
{{- end -}}
{{- toJson $flows -}}
{{- end -}}

{{/* Ports on which this chart's pods listen; a list in YAML. */}}
{{- define "kfp.network.port" -}}
{{- if and (eq .end "apiserver") (eq .from "kubernetes") }}[{protocol: TCP, port: 8443}]
{{- else if eq .end "apiserver" }}[{protocol: TCP, port: 8888}, {protocol: TCP, port: 8887}]
{{- else if eq .end "ui" }}[{protocol: TCP, port: 3000}]
{{- else if eq .end "metadata" }}[{protocol: TCP, port: 8080}]
{{- else if eq .end "metadata-envoy" }}[{protocol: TCP, port: 9090}]
{{- else if eq .end "mysql" }}[{protocol: TCP, port: {{ .root.Values.database.port }}}]
{{- else if eq .end "seaweedfs" }}[{protocol: TCP, port: 8333}]
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

{{/* Egress rules to something outside this chart. (dict "root" $ "end" "database") */}}
{{- define "kfp.network.egress" -}}
{{- $policies := .root.Values.networkPolicies -}}
{{- if eq .end "dns" -}}
- to:
    - namespaceSelector:
        matchLabels: {kubernetes.io/metadata.name: kube-system}
      podSelector:
        matchLabels: {k8s-app: kube-dns}
  ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]
{{- else if eq .end "kubernetes" -}}
- to:
    - ipBlock: {cidr: {{ $policies.kubernetes.cidr }}}
  ports:
    {{- range $policies.kubernetes.ports }}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
{{- else if eq .end "objectStore" -}}
- to:
    {{- include "kfp.network.peers" (dict "root" .root "namespace" $policies.objectStore.namespace) | nindent 4 }}
  ports: [{protocol: TCP, port: {{ $policies.objectStore.port }}}]
{{- else if eq .end "database" -}}
- to:
    {{- include "kfp.network.peers" (dict "root" .root "namespace" $policies.database.namespace) | nindent 4 }}
  ports: [{protocol: TCP, port: {{ .root.Values.database.port }}}]
{{- else if eq .end "elsewhere" -}}
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
{{- fail (printf "flows.yaml leads to %q, which no policy knows. Describe it in templates/network/_helpers.tpl." .end) -}}
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
