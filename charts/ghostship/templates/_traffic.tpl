{{/* What controller and workers share: nothing but metrics in, nothing but names and the API server out. */}}
{{- define "ghostship.traffic" -}}
policyTypes: [Ingress, Egress]
ingress:
  - ports:
      - port: 8080
        protocol: TCP
    {{- with .metricsFrom }}
    from:
      {{- toYaml . | nindent 6 }}
    {{- end }}
  {{- if .api }}
  - ports:
      - port: 8081
        protocol: TCP
    {{- with .apiFrom }}
    from:
      {{- toYaml . | nindent 6 }}
    {{- end }}
  {{- end }}
egress:
  - ports:
      - port: 53
        protocol: UDP
      - port: 53
        protocol: TCP
    {{- with .dnsTo }}
    to:
      {{- toYaml . | nindent 6 }}
    {{- end }}
  {{- include "ghostship.egress" .apiServer | nindent 2 }}
{{- end }}

{{/* One rule. In: cidrs, none for anywhere, and ports. */}}
{{- define "ghostship.egress" -}}
- ports:
    {{- range .ports }}
    - port: {{ . }}
      protocol: TCP
    {{- end }}
  {{- with .cidrs }}
  to:
    {{- range . }}
    - ipBlock:
        cidr: {{ . | quote }}
    {{- end }}
  {{- end }}
{{- end }}
