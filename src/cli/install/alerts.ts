// Alerts on the metrics of the mesh, as a PrometheusRule. Each says what is wrong, whom it hurts
// and where to look; none fires in a mesh that is merely idle. docs/guides/install.md lists them.
import type { JsonMap } from './json.ts';

export type Alert = {
  readonly name: string;
  readonly expression: string;
  /** How long it has to hold. */
  readonly holds: string;
  readonly severity: 'critical' | 'warning' | 'info';
  readonly summary: string;
  readonly advice: string;
};

const service = 'destination_namespace, destination_service';
const shown = '{{ $labels.destination_namespace }}/{{ $labels.destination_service }}';

function rateOf(metric: string, matchers = ''): string {
  return `sum by (${service}) (rate(${metric}${matchers}[5m]))`;
}

export const alerts: readonly Alert[] = [
  {
    name: 'WeftProxyDown',
    expression: 'up{container="proxy", pod=~"weft-proxy-.*"} == 0',
    holds: '2m',
    severity: 'critical',
    summary: 'proxy {{ $labels.pod }} does not answer',
    advice: 'pods of its node cannot reach mesh names: kubectl describe and logs of the pod',
  },
  {
    name: 'WeftNoLeader',
    expression: '(sum(weft_leader) or vector(0)) < 1',
    holds: '2m',
    severity: 'warning',
    summary: 'no replica of weft-controller leads',
    advice: 'traffic goes on; new ports, conditions and DNS wiring wait: logs of weft-controller',
  },
  {
    name: 'WeftConfigStale',
    expression: 'max by (pod) (weft_config_age_seconds) > 300',
    holds: '5m',
    severity: 'warning',
    summary: '{{ $labels.pod }} has not heard from the API server for 5 minutes',
    advice: 'it goes on with what it knows; endpoints that changed since are not seen',
  },
  {
    name: 'WeftConfigOutOfStep',
    expression: 'count(count by (version) (weft_config_version_info{container="proxy"})) > 1',
    holds: '10m',
    severity: 'warning',
    summary: 'proxies go by different versions of the configuration',
    advice: 'compare /version on the admin ports, and weft_config_age_seconds',
  },
  {
    name: 'WeftHighErrorRate',
    expression:
      `${rateOf('weft_http_requests_total', '{code=~"5.."}')} / ` +
      `${rateOf('weft_http_requests_total')} > 0.05 and ${rateOf('weft_http_requests_total')} > 1`,
    holds: '10m',
    severity: 'warning',
    summary: `more than 5 % of the requests to ${shown} fail`,
    advice: 'the access log of the proxies names the reason (weft-reason) of each',
  },
  {
    name: 'WeftDenials',
    expression:
      'sum by (source_namespace, source_workload, destination_namespace, destination_service) ' +
      '(rate(weft_policy_decisions_total{action="deny"}[5m])) > 1',
    holds: '10m',
    severity: 'info',
    summary: `{{ $labels.source_namespace }}/{{ $labels.source_workload }} is denied at ${shown}`,
    advice: 'a TrafficTarget is missing, or somebody tries what is not allowed',
  },
  {
    name: 'WeftDnsNotWired',
    expression: 'sum by (reason) (weft_problems{kind="ConfigMap"}) > 0',
    holds: '10m',
    severity: 'warning',
    summary: 'the DNS of the cluster does not answer mesh names as it should',
    advice: 'the Event on the ConfigMap in kube-system says what to do',
  },
  {
    name: 'WeftProblems',
    expression: 'sum by (kind, reason) (weft_problems{kind!="ConfigMap"}) > 0',
    holds: '30m',
    severity: 'info',
    summary: 'objects of kind {{ $labels.kind }} have a problem: {{ $labels.reason }}',
    advice: 'kubectl describe them; docs/reference/reasons.md explains the reason',
  },
  {
    name: 'WeftWorkerRestarts',
    expression: 'sum by (pod) (increase(weft_worker_restarts_total[15m])) > 2',
    holds: '0m',
    severity: 'warning',
    summary: 'workers of {{ $labels.pod }} die',
    advice: 'each took its connections along: logs of the pod, and its memory limit',
  },
  {
    name: 'WeftBugs',
    expression: 'sum by (pod) (increase(weft_bugs_total[15m])) > 0',
    holds: '0m',
    severity: 'warning',
    summary: '{{ $labels.pod }} has met a fault of weft itself',
    advice: 'please report what it logged',
  },
  {
    name: 'WeftSeriesDropped',
    expression: 'sum by (pod) (increase(weft_metric_series_dropped_total[15m])) > 0',
    holds: '15m',
    severity: 'info',
    summary: '{{ $labels.pod }} counts some edges together',
    advice: 'it holds as many series as it may; those are labelled overflow',
  },
];

/** `spec` of the PrometheusRule. */
export function alertSpec(): JsonMap {
  const rules = alerts.map(({ name, expression, holds, severity, summary, advice }) => ({
    alert: name,
    expr: expression,
    for: holds,
    labels: { severity },
    annotations: { summary, description: advice },
  }));
  return { groups: [{ name: 'weft', rules }] };
}
