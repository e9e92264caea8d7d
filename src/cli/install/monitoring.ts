// What Prometheus and Grafana installations pick up by themselves: a PodMonitor, a PrometheusRule,
// a ConfigMap with a dashboard. None is on by default: their kinds belong to somebody else.
import { alertSpec } from './alerts.ts';
import { dashboardJson } from './dashboard.ts';
import type { InstallFacts } from './facts.ts';
import type { Json, JsonMap } from './json.ts';
import { manifest, withFields, type Manifest, type Subject } from './manifest.ts';

const operatorVersion = 'monitoring.coreos.com/v1';

export function podMonitor(facts: InstallFacts): Manifest {
  const subject = { apiVersion: operatorVersion, kind: 'PodMonitor', name: 'weft' };
  return labelled(facts, subject, facts.monitorLabels, {
    spec: {
      selector: { matchLabels: { 'app.kubernetes.io/name': 'weft' } },
      podMetricsEndpoints: [{ port: 'admin', path: '/metrics' }],
    },
  });
}

export function prometheusRule(facts: InstallFacts): Manifest {
  const subject = { apiVersion: operatorVersion, kind: 'PrometheusRule', name: 'weft' };
  return labelled(facts, subject, facts.ruleLabels, { spec: alertSpec() });
}

export function grafanaDashboard(facts: InstallFacts): Manifest {
  const subject = { apiVersion: 'v1', kind: 'ConfigMap', name: 'weft-dashboard' };
  return labelled(facts, subject, facts.dashboardLabels, {
    data: { 'weft.json': dashboardJson() },
  });
}

/** With labels of the user beside those of the house. */
function labelled(
  { origin }: InstallFacts,
  subject: Subject,
  labels: Json,
  body: JsonMap,
): Manifest {
  const one = manifest(origin, 'monitoring', { ...subject, namespace: origin.namespace }, body);
  return { ...one, metadata: { ...one.metadata, labels: withFields(one.labels, labels) } };
}
