{{- define "raydock.fullname" -}}
{{- .Values.fullnameOverride | default .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "raydock.operator" -}}
{{ include "raydock.fullname" . }}-operator
{{- end -}}

{{- define "raydock.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "raydock.operator" .) }}
{{- else -}}
{{ required "serviceAccount.create is false: write serviceAccount.name" .Values.serviceAccount.name }}
{{- end -}}
{{- end -}}

{{- define "raydock.selector" -}}
app.kubernetes.io/name: raydock
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{/* Labels of the chart's own objects. managed-by is Helm: `raydock` there marks what the operator made. */}}
{{- define "raydock.labels" -}}
{{ include "raydock.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{/* Where endpoints that name no Gateway get their routes. */}}
{{- define "raydock.gatewayNamespace" -}}
{{- if and .Values.gateway.create .Values.gateway.namespace (ne .Values.gateway.namespace .Release.Namespace) -}}
{{- fail "gateway.create makes the Gateway in the release's namespace: leave gateway.namespace empty" -}}
{{- end -}}
{{ .Values.gateway.namespace | default .Release.Namespace }}
{{- end -}}

{{/* The operator's settings file: `settings`, and what the chart knows by itself. */}}
{{- define "raydock.settings" -}}
{{- $gateway := dict "name" .Values.gateway.name "namespace" (include "raydock.gatewayNamespace" .) -}}
{{- with .Values.gateway.sectionName }}{{ $_ := set $gateway "sectionName" . }}{{ end -}}
{{- $known := dict "gateway" $gateway
    "operatorNamespace" .Release.Namespace
    "leaseName" (include "raydock.operator" .)
    "reportUrl" (printf "http://%s.%s.svc:8080" (include "raydock.operator" .) .Release.Namespace) -}}
{{- with .Values.gateway.address }}{{ $_ := set $known "gatewayAddress" . }}{{ end -}}
{{- $settings := deepCopy .Values.settings -}}
{{- if not $settings.runtimeImage -}}
{{- $_ := set $settings "runtimeImage" (printf "ghcr.io/raydock/raydock-runtime:%s" .Chart.AppVersion) -}}
{{- end -}}
{{- toYaml (merge $known $settings) -}}
{{- end -}}
