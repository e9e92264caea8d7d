// An installation as groups of manifests, in the order in which they are applied: what others need
// comes first. Each group is a file of the chart and of the kustomize base.
import { admissionPolicy } from './admission-policy.ts';
import { mirrorPodPolicy } from './mirror-pod-policy.ts';
import { requestPolicy } from './request-policy.ts';
import { smiDefinitions } from './crds.ts';
import { factsOf, type InstallFacts } from './facts.ts';
import { criticalPodsQuota, meshNamespace } from './home.ts';
import type { Manifest } from './manifest.ts';
import { grafanaDashboard, podMonitor, prometheusRule } from './monitoring.ts';
import { accessRules, serviceAccounts } from './rbac.ts';
import type { InstallValues } from './values.ts';
import { controllerBudget, controllerDeployment, proxyDaemonSet } from './workloads.ts';

export type GroupName =
  | 'namespace'
  | 'quota'
  | 'crds'
  | 'access'
  | 'proxy'
  | 'controller'
  | 'admission'
  | 'pod-monitor'
  | 'prometheus-rule'
  | 'grafana-dashboard';

export type ManifestGroup = {
  readonly name: GroupName;
  readonly manifests: readonly Manifest[];
};

/** Everything that can be installed. */
export function allGroups(facts: InstallFacts): readonly ManifestGroup[] {
  return [
    { name: 'namespace', manifests: [meshNamespace(facts)] },
    { name: 'quota', manifests: [criticalPodsQuota(facts)] },
    { name: 'crds', manifests: smiDefinitions() },
    { name: 'access', manifests: [...serviceAccounts(facts), ...accessRules(facts)] },
    { name: 'proxy', manifests: [proxyDaemonSet(facts)] },
    { name: 'controller', manifests: [controllerBudget(facts), controllerDeployment(facts)] },
    {
      name: 'admission',
      manifests: [...admissionPolicy(facts), ...requestPolicy(facts), ...mirrorPodPolicy(facts)],
    },
    { name: 'pod-monitor', manifests: [podMonitor(facts)] },
    { name: 'prometheus-rule', manifests: [prometheusRule(facts)] },
    { name: 'grafana-dashboard', manifests: [grafanaDashboard(facts)] },
  ];
}

/** Whether the values want the group. */
export function isWanted(name: GroupName, values: InstallValues): boolean {
  switch (name) {
    case 'quota':
      return values.criticalPodsQuota.enabled;
    case 'crds':
      return values.crds.install;
    case 'admission':
      return values.admissionPolicy.enabled;
    case 'pod-monitor':
      return values.monitoring.podMonitor.enabled;
    case 'prometheus-rule':
      return values.monitoring.prometheusRule.enabled;
    case 'grafana-dashboard':
      return values.monitoring.grafanaDashboard.enabled;
    case 'namespace':
    case 'access':
    case 'proxy':
    case 'controller':
      return true;
  }
}

/** What an installation consists of, in the order in which it is applied. */
export function installed(
  values: InstallValues,
  namespace: string,
  version: string,
): readonly Manifest[] {
  const facts = factsOf(values, { namespace, version, managedBy: 'weft' });
  return allGroups(facts)
    .filter(({ name }) => isWanted(name, values))
    .flatMap(({ manifests }) => manifests);
}
