// What is wrong with the targets of `weft.dev/mirror`. Nothing is decided here: a table that does
// not know the target copies nothing, and copies again the moment it is there. Told on the object
// that says so, once: on the Namespace where it speaks for all its Services.
import { settingTable, type ClusterState, type Problem } from '../api/index.ts';
import type { MirrorRule } from '../snapshot/index.ts';
import { problemOf } from './problems.ts';
import type { MeshService } from './topology.ts';

type Services = ReadonlyMap<string, MeshService>;

/** A problem for each target, or port of one, that is not there. */
export function mirrorProblems(state: ClusterState, services: Services): readonly Problem[] {
  const problems: Problem[] = [];
  for (const [key, service] of services) {
    const { section, settings, namespace, name, isNamed } = service;
    if (settings.mirror === undefined || !isNamed) continue;
    const object = state.services.get(key);
    const isOwn = object !== undefined && saysMirror(object);
    const holder = isOwn ? object : state.namespaces.get(namespace);
    if (holder === undefined) continue;
    const mirror = section.rules.shaping?.mirror;
    if (mirror !== undefined) {
      const fault = faultOf(mirror, service, services);
      if (fault !== undefined) problems.push(problemOf(holder, 'MirrorMissing', fault));
    } else if (isOwn) {
      const message = `annotation weft.dev/mirror of Service ${namespace}/${name} names itself`;
      problems.push(problemOf(holder, 'InvalidSetting', `${message}: name another Service`));
    }
  }
  return problems;
}

function saysMirror({ meta }: { readonly meta: MeshObject }): boolean {
  return settingTable.mirror.spellings.some(({ key, read }) => {
    const text = meta.annotations.get(key);
    return text !== undefined && read(text.trim()) !== undefined;
  });
}

type MeshObject = { readonly annotations: ReadonlyMap<string, string> };

function faultOf(
  mirror: MirrorRule,
  { namespace, ports }: MeshService,
  services: Services,
): string | undefined {
  const key = `${namespace}/${mirror.service}`;
  const target = services.get(key);
  const said = `annotation weft.dev/mirror names Service ${key}`;
  if (target?.isNamed !== true) {
    return `${said}, which is no Service of the mesh: create it, or correct the name`;
  }
  const wanted = mirror.port === undefined ? httpPorts(ports) : [mirror.port];
  const served = new Set(httpPorts(target.ports));
  const missing = wanted.filter((port) => !served.has(port));
  if (missing.length === 0) return undefined;
  const which = missing.length === 1 ? 'port' : 'ports';
  const listed = missing.slice(0, 8).join(', ');
  return `${said}, which has no HTTP ${which} ${listed}: name one that it has, as SERVICE:PORT`;
}

function httpPorts(ports: MeshService['ports']): readonly number[] {
  return ports.flatMap(({ port, protocol }) => (protocol === 'http' ? [port] : []));
}
