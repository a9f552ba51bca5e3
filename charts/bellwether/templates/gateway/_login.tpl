{{/* Which routes the gateway asks for a login on, by the last part of their name; a list as JSON. */}}
{{- define "bellwether.login.routes" -}}
{{- $routes := list -}}
{{- if and .Values.page.route (or .Values.page.login .Values.page.trains) }}{{ $routes = append $routes "page" }}{{ end -}}
{{- if .Values.mlflow.route }}{{ $routes = append $routes "mlflow" }}{{ end -}}
{{- range $name, $route := .Values.gateway.extraRoutes -}}
{{- if not $route.ownLogin }}{{ $routes = append $routes $name }}{{ end -}}
{{- end -}}
{{- toJson $routes -}}
{{- end -}}

{{/* Filters of a rule behind the login: the password goes no further than the gateway. */}}
{{- define "bellwether.login.filters" -}}
{{- if eq .Values.gateway.login.type "basic" -}}
filters:
  - type: RequestHeaderModifier
    requestHeaderModifier: {remove: [Authorization]}
{{- end -}}
{{- end -}}

{{/* Header in which the page is told who asks; "" where nobody says it. */}}
{{- define "bellwether.login.userHeader" -}}
{{- $login := .Values.gateway.login -}}
{{- if has "page" (include "bellwether.login.routes" . | fromJsonArray) -}}
{{- if or (eq $login.type "basic") (and (eq $login.type "oidc") $login.oidc.jwksUri) -}}
x-bellwether-user
{{- else if eq $login.type "external" -}}
{{- $login.userHeader -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Whether a login stands before the page; one without a route is reached by those who may reach its pods. */}}
{{- define "bellwether.login.page" -}}
{{- or (not .Values.page.route) (has "page" (include "bellwether.login.routes" . | fromJsonArray)) -}}
{{- end -}}
