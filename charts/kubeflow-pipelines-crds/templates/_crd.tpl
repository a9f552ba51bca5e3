{{/* A namespaced CustomResourceDefinition of one version. What its objects hold is the controllers' business: they write
     these objects and check them, and whole schemas would be too large for what `kubectl apply` remembers.
     (dict "root" $ "group" "argoproj.io" "version" "v1alpha1" "kind" "Workflow" "short" (list "wf") "status" true) */}}
{{- define "crds.definition" -}}
{{- $singular := lower .kind -}}
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: {{ $singular }}s.{{ .group }}
  labels:
    app.kubernetes.io/name: {{ .root.Chart.Name }}
    app.kubernetes.io/instance: {{ .root.Release.Name }}
    app.kubernetes.io/part-of: kubeflow-pipelines
    app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
    app.kubernetes.io/managed-by: {{ .root.Release.Service }}
    helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
  {{- if .root.Values.keep }}
  annotations:
    helm.sh/resource-policy: keep
  {{- end }}
spec:
  group: {{ .group }}
  scope: Namespaced
  names:
    kind: {{ .kind }}
    listKind: {{ .kind }}List
    singular: {{ $singular }}
    plural: {{ $singular }}s
    {{- with .short }}
    shortNames: {{ toJson . }}
    {{- end }}
  versions:
    - name: {{ .version }}
      served: true
      storage: true
      {{- with .columns }}
      additionalPrinterColumns:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- if .status }}
      # Written apart from the rest.
      subresources:
        status: {}
      {{- end }}
      schema:
        openAPIV3Schema:
          type: object
          {{- with .required }}
          required: {{ toJson . }}
          {{- end }}
          {{- if .flat }}
          x-kubernetes-preserve-unknown-fields: true
          {{- end }}
          properties:
            apiVersion: {type: string}
            kind: {type: string}
            metadata: {type: object}
            {{- if not .flat }}
            spec:
              type: object
              {{- if .atomic }}
              x-kubernetes-map-type: atomic
              {{- end }}
              x-kubernetes-preserve-unknown-fields: true
              {{- with .spec }}
              {{- toYaml . | nindent 14 }}
              {{- end }}
            status:
              type: object
              {{- if .atomic }}
              x-kubernetes-map-type: atomic
              {{- end }}
              x-kubernetes-preserve-unknown-fields: true
            {{- end }}
{{- end -}}
