{{- /* Generated from the typed source of weft install: npm run manifests. */ -}}
{{- define "weft.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- define "weft.flags" -}}
{{- range $flag, $value := . }}
- name: WEFT_{{ $flag | upper | replace "-" "_" }}
{{- if kindIs "slice" $value }}
  value: {{ join "," $value | quote }}
{{- else if kindIs "float64" $value }}
  value: {{ int64 $value | quote }}
{{- else }}
  value: {{ $value | quote }}
{{- end }}
{{- end -}}
{{- end }}

{{- define "weft.proxySettings" -}}
{{- with join "," .Values.mesh.domains }}
- name: WEFT_MESH_DOMAIN
  value: {{ . | quote }}
{{- end }}
{{- with .Values.mesh.clusterDomain }}
- name: WEFT_CLUSTER_DOMAIN
  value: {{ . | quote }}
{{- end }}
{{- with .Values.mesh.policy }}
- name: WEFT_POLICY
  value: {{ . | quote }}
{{- end }}
{{- with .Values.mesh.mtls }}
- name: WEFT_MTLS
  value: {{ . | quote }}
{{- end }}
{{- with .Values.mesh.trustDomain }}
- name: WEFT_TRUST_DOMAIN
  value: {{ . | quote }}
{{- end }}
{{- with .Values.mesh.adopt }}
- name: WEFT_ADOPT
  value: {{ . | quote }}
{{- end }}
{{- with join "," .Values.mesh.watchNamespaces }}
- name: WEFT_WATCH_NAMESPACE
  value: {{ . | quote }}
{{- end }}
{{- with join "," .Values.mesh.ignoreNamespaces }}
- name: WEFT_IGNORE_NAMESPACE
  value: {{ . | quote }}
{{- end }}
{{- with .Values.mesh.logLevel }}
- name: WEFT_LOG_LEVEL
  value: {{ . | quote }}
{{- end }}
{{- with int .Values.proxy.workers }}
- name: WEFT_WORKERS
  value: {{ . | quote }}
{{- end }}
{{- with printf "%ds" (int .Values.proxy.drainTimeoutSeconds) }}
- name: WEFT_DRAIN_TIMEOUT
  value: {{ . | quote }}
{{- end }}
{{- include "weft.flags" .Values.proxy.flags }}
{{- end }}

{{- define "weft.controllerSettings" -}}
{{- with join "," .Values.mesh.domains }}
- name: WEFT_MESH_DOMAIN
  value: {{ . | quote }}
{{- end }}
{{- with .Values.mesh.clusterDomain }}
- name: WEFT_CLUSTER_DOMAIN
  value: {{ . | quote }}
{{- end }}
{{- with .Values.mesh.policy }}
- name: WEFT_POLICY
  value: {{ . | quote }}
{{- end }}
{{- with .Values.mesh.mtls }}
- name: WEFT_MTLS
  value: {{ . | quote }}
{{- end }}
{{- with .Values.mesh.trustDomain }}
- name: WEFT_TRUST_DOMAIN
  value: {{ . | quote }}
{{- end }}
{{- with .Values.mesh.adopt }}
- name: WEFT_ADOPT
  value: {{ . | quote }}
{{- end }}
{{- with join "," .Values.mesh.watchNamespaces }}
- name: WEFT_WATCH_NAMESPACE
  value: {{ . | quote }}
{{- end }}
{{- with join "," .Values.mesh.ignoreNamespaces }}
- name: WEFT_IGNORE_NAMESPACE
  value: {{ . | quote }}
{{- end }}
{{- with .Values.mesh.logLevel }}
- name: WEFT_LOG_LEVEL
  value: {{ . | quote }}
{{- end }}
{{- include "weft.flags" .Values.controller.flags }}
{{- end }}
