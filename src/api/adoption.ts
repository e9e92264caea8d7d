// Which services are part of the mesh: said by flags, labels and kind alone. No pod is asked, and
// none is changed.
import type { Namespace, Service } from './core.ts';
import { meshLabel } from './defaults.ts';
import type { MeshSettings } from './settings.ts';

/** Whether the mesh looks at a namespace at all; ignoring wins over watching. */
export function isWatchedNamespace(name: string, settings: MeshSettings): boolean {
  if (name === 'kube-system' || name === settings.meshNamespace) return false;
  if (settings.ignoreNamespaces.includes(name)) return false;
  return settings.watchNamespaces.length === 0 || settings.watchNamespaces.includes(name);
}

/**
 * Whether a service has a mesh name. Its own label beats its Namespace's; a label that says neither
 * `enabled` nor `disabled` says nothing (and is a problem of resolveServiceSettings).
 */
export function isMeshed(
  service: Service,
  namespace: Namespace | undefined,
  settings: MeshSettings,
): boolean {
  const { meta } = service;
  if (!isWatchedNamespace(meta.namespace, settings)) return false;
  if (service.type === 'ExternalName') return false;
  if (meta.namespace === 'default' && meta.name === 'kubernetes') return false;
  const said = readLabel(service) ?? readLabel(namespace);
  return said === undefined ? settings.adopt === 'all' : said === 'enabled';
}

function readLabel(object: Service | Namespace | undefined): string | undefined {
  const text = object?.meta.labels.get(meshLabel);
  return text === 'enabled' || text === 'disabled' ? text : undefined;
}
