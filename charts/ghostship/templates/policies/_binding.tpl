{{/* Where and how a policy holds. In: root, and the policy's name. */}}
{{- define "ghostship.binding" -}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ .policy }}
  {{- include "ghostship.metadata" (dict "root" .root) | nindent 2 }}
spec:
  policyName: {{ .policy }}
  validationActions:
    {{- toYaml .root.Values.policies.actions | nindent 4 }}
  {{- with .root.Values.policies.namespaceSelector }}
  matchResources:
    namespaceSelector:
      {{- toYaml . | nindent 6 }}
  {{- end }}
{{- end }}

{{/* Whether whoever asks has the verb approve on a subresource that only the policies know. In: its name. */}}
{{- define "ghostship.approved" -}}
authorizer.group('ghostship.dev').resource('schemamigrations').subresource('{{ . }}')
.namespace(request.namespace).name(request.name).check('approve').allowed()
{{- end }}
