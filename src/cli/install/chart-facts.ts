// What the manifests are made of when they are templates of a chart: the leaves are expressions,
// marked so that the renderer can put them where they belong (render-chart.ts). The named templates
// that they include are written here, too, from the same tables as the typed values are read by.
import {
  graceMarginSeconds,
  meshRows,
  proxyRows,
  variableOf,
  type InstallFacts,
  type PodFacts,
  type SettingRow,
} from './facts.ts';

/**
 * How an expression is put into the text: as a quoted text, as it is, as further items or fields,
 * or as a field that is there only when the value has something in it.
 */
type ExpressionForm = 'text' | 'plain' | 'more' | 'filled';

/** Brackets that stand in no manifest otherwise. */
function expression(form: ExpressionForm, source: string): string {
  return `⟦${form}:${source}⟧`;
}

/** All marked expressions of a text, with the quotes that YAML put around them. */
export const expressionPattern = /(["']?)⟦(text|plain|more|filled):(.*?)⟧\1/g;

const text = (source: string): string => expression('text', source);
const filled = (source: string): string => expression('filled', source);

export function chartFacts(): InstallFacts {
  return {
    origin: {
      namespace: text('.Release.Namespace'),
      version: text('.Chart.AppVersion'),
      managedBy: text('.Release.Service'),
    },
    image: text('include "weft.image" .'),
    pullPolicy: text('.Values.image.pullPolicy'),
    pullSecrets: filled('.Values.image.pullSecrets'),
    proxy: {
      ...podFacts('proxy'),
      maxSurge: expression('plain', 'toYaml .Values.proxy.maxSurge'),
      graceSeconds: expression(
        'plain',
        `add (int .Values.proxy.drainTimeoutSeconds) ${graceMarginSeconds}`,
      ),
    },
    controller: {
      ...podFacts('controller'),
      replicas: expression('plain', 'int .Values.controller.replicas'),
    },
    monitorLabels: expression('more', '.Values.monitoring.podMonitor.labels'),
    ruleLabels: expression('more', '.Values.monitoring.prometheusRule.labels'),
    dashboardLabels: expression('more', '.Values.monitoring.grafanaDashboard.labels'),
  };
}

function podFacts(owner: 'proxy' | 'controller'): PodFacts {
  const values = `.Values.${owner}`;
  return {
    settings: [expression('more', `include "weft.${owner}Settings" .`)],
    resources: filled(`${values}.resources`),
    tolerations: filled(`${values}.tolerations`),
    nodeSelector: filled(`${values}.nodeSelector`),
    priorityClassName: text(`${values}.priorityClassName`),
    annotations: filled(`${values}.podAnnotations`),
    labels: expression('more', `${values}.podLabels`),
  };
}

/** templates/_names.tpl */
export function namedTemplates(): string {
  const shared = meshRows.map(settingTemplate);
  const own = proxyRows.map(settingTemplate);
  return [
    '{{- /* Generated from the typed source of weft install: npm run manifests. */ -}}',
    defined('weft.image', [
      '{{- if .Values.image.digest -}}',
      '{{ .Values.image.repository }}@{{ .Values.image.digest }}',
      '{{- else -}}',
      '{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}',
      '{{- end -}}',
    ]),
    defined('weft.flags', [
      '{{- range $flag, $value := . }}',
      '- name: WEFT_{{ $flag | upper | replace "-" "_" }}',
      '{{- if kindIs "slice" $value }}',
      '  value: {{ join "," $value | quote }}',
      '{{- else if kindIs "float64" $value }}',
      '  value: {{ int64 $value | quote }}',
      '{{- else }}',
      '  value: {{ $value | quote }}',
      '{{- end }}',
      '{{- end -}}',
    ]),
    defined('weft.proxySettings', [
      ...shared,
      ...own,
      '{{- include "weft.flags" .Values.proxy.flags }}',
    ]),
    defined('weft.controllerSettings', [
      ...shared,
      '{{- include "weft.flags" .Values.controller.flags }}',
    ]),
  ].join('\n');
}

function defined(name: string, body: readonly string[]): string {
  return [`{{- define "${name}" -}}`, ...body, '{{- end }}', ''].join('\n');
}

/** No entry for what is empty or 0, as with typed values. */
function settingTemplate({ flag, path, form }: SettingRow): string {
  const value = `.Values.${path.join('.')}`;
  const source: Readonly<Record<SettingRow['form'], string>> = {
    list: `join "," ${value}`,
    text: value,
    count: `int ${value}`,
    seconds: `printf "%ds" (int ${value})`,
  };
  return [
    `{{- with ${source[form]} }}`,
    `- name: ${variableOf(flag)}`,
    '  value: {{ . | quote }}',
    '{{- end }}',
  ].join('\n');
}
