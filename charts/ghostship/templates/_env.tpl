{{/* The controller's settings. What is empty is left out. */}}
{{- define "ghostship.env" -}}
{{- $given := dict
  "GHOSTSHIP_WATCH_NAMESPACES" (join "," .Values.watchNamespaces)
  "GHOSTSHIP_SELECTOR" .Values.selector
  "GHOSTSHIP_MAX_ACTIVE" (.Values.maxActive | int64 | toString)
  "GHOSTSHIP_WORKER_IMAGE" (.Values.worker.image | default (include "ghostship.image" .))
  "GHOSTSHIP_WORKER_PULL_POLICY" .Values.worker.pullPolicy
  "GHOSTSHIP_WORKER_PULL_SECRETS" (join "," .Values.worker.pullSecrets)
  "GHOSTSHIP_NOTIFY" (ternary "/notifications/notifications.yaml" "" (ne .Values.notifications.existingSecret ""))
  "GHOSTSHIP_LISTEN" "0.0.0.0:8080"
  "GHOSTSHIP_LISTEN_API" (ternary "0.0.0.0:8081" "" .Values.api.enabled)
  "GHOSTSHIP_API_TLS" (ternary "/api-tls" "" (and .Values.api.enabled (ne .Values.api.tlsSecret "")))
  "GHOSTSHIP_API_AUDIENCE" (ternary .Values.api.audience "" .Values.api.enabled)
  "GHOSTSHIP_LEASE" (include "ghostship.name" .)
  "GHOSTSHIP_LOG" .Values.log.level
  "GHOSTSHIP_LOG_FORMAT" .Values.log.format -}}
{{- range $name, $value := $given }}
{{- if $value }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}
- name: GHOSTSHIP_LEASE_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: GHOSTSHIP_POD
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}
