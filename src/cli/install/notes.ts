// What Helm says after an installation: the three next commands, and what is not on. The list of
// what is missing is that of the README; whoever builds one of them strikes it out here, too.

/** Of the command line, which looks into weft-system otherwise. */
const elsewhere =
  '{{ if ne .Release.Namespace "weft-system" }} --mesh-namespace {{ .Release.Namespace }}{{ end }}';

export function chartNotes(): string {
  return `weft {{ .Chart.AppVersion }} is installed in namespace {{ .Release.Namespace }}.
No traffic has changed: a workload opts in by calling http://SERVICE.NAMESPACE.{{ first .Values.mesh.domains }}

Next:
  kubectl -n {{ .Release.Namespace }} rollout status daemonset/weft-proxy
  weft check${elsewhere}
  kubectl annotate namespace YOURS weft.dev/policy=audit

Not on:
{{- if eq .Values.mesh.policy "off" }}
  - policy: every caller may call every service, until a namespace says audit or enforce
{{- end }}
{{- if eq .Values.mesh.mtls "off" }}
  - mutual TLS between nodes (mesh.mtls): calls to pods of other nodes are plain HTTP
{{- else if ne .Values.mesh.mtls "strict" }}
  - mutual TLS to nodes without a proxy: such calls are plain HTTP, unless mesh.mtls is strict
{{- end }}
{{- if not .Values.admissionPolicy.enabled }}
  - ValidatingAdmissionPolicies: misspelt settings are told by conditions only, and weft-requests
    and weft-pods, which guard the mesh against its own nodes, are left out too
{{- end }}
{{- $served := .Capabilities.APIVersions.Has "monitoring.coreos.com/v1/PodMonitor" }}
{{- $monitoring := .Values.monitoring }}
{{- if and (or $monitoring.podMonitor.enabled $monitoring.prometheusRule.enabled) (not $served) }}
  - PodMonitor and PrometheusRule: the kinds of the Prometheus operator are not served here
{{- end }}

The pods fulfil Pod Security restricted; Helm does not label the namespace, so that is for you:
  kubectl label namespace {{ .Release.Namespace }} pod-security.kubernetes.io/enforce=restricted
`;
}
