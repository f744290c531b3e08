{{/* What the controller may do where it watches. It reads no Secret, and what it grants to workers it has itself. */}}
{{- define "ghostship.rules" -}}
- apiGroups: [ghostship.dev]
  resources: [schemamigrations]
  verbs: [get, list, watch, patch, delete]
- apiGroups: [ghostship.dev]
  resources: [schemamigrations/status]
  verbs: [patch]
- apiGroups: [ghostship.dev]
  resources: [schemamigrations/finalizers]
  verbs: [update]
- apiGroups: [ghostship.dev]
  resources: [migrationtargets]
  verbs: [get, list, watch]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [events]
  verbs: [list, watch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
- apiGroups: [""]
  resources: [serviceaccounts]
  verbs: [create, patch]
- apiGroups: [rbac.authorization.k8s.io]
  resources: [roles, rolebindings]
  verbs: [create, patch]
{{- end }}

{{- define "ghostship.subjects" -}}
- kind: ServiceAccount
  name: {{ include "ghostship.account" . }}
  namespace: {{ .Release.Namespace }}
{{- end }}
