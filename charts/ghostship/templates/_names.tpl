{{/* Names, labels, and what several objects share. */}}

{{- define "ghostship.name" -}}
{{- $release := ternary .Release.Name (printf "%s-ghostship" .Release.Name) (contains "ghostship" .Release.Name) -}}
{{- .Values.fullnameOverride | default $release | trunc 50 | trimSuffix "-" -}}
{{- end }}

{{- define "ghostship.selector" -}}
app.kubernetes.io/name: ghostship
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: controller
{{- end }}

{{- define "ghostship.workers" -}}
app.kubernetes.io/name: ghostship
app.kubernetes.io/component: worker
{{- end }}

{{- define "ghostship.labels" -}}
app.kubernetes.io/name: ghostship
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Fields of every object's metadata but its name and namespace. In: root, and perhaps labels and annotations. */}}
{{- define "ghostship.metadata" -}}
labels:
  {{- include "ghostship.labels" .root | nindent 2 }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge (dict) (.annotations | default dict) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "ghostship.account" -}}
{{- .Values.serviceAccount.name | default (include "ghostship.name" .) -}}
{{- end }}

{{- define "ghostship.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end }}
