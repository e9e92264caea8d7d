// A permissions section → who may reach the pods of one service account, by source. Allowed if any
// permission allows, so their order does not matter.
import type {
  PermissionSpec,
  PermissionsSection,
  PortSet,
  SectionId,
} from '../snapshot/index.ts';
import { compileMatches, type PatternSource } from './match.ts';
import type { Permission, PermissionsPiece } from './table.ts';

/** Id of the section of a destination; `snapshot` makes the same one from the section itself. */
export function permissionsId(namespace: string, serviceAccount: string): SectionId {
  return `permissions/${namespace}/${serviceAccount}` as SectionId;
}

export function compilePermissions(
  section: PermissionsSection,
  patterns: PatternSource,
): PermissionsPiece {
  const bySource = new Map<string, Permission[]>();
  for (const spec of section.permissions) {
    const permission = compilePermission(spec, patterns);
    for (const source of spec.sources) {
      const known = bySource.get(source);
      if (known === undefined) bySource.set(source, [permission]);
      else known.push(permission);
    }
  }
  return { bySource };
}

function compilePermission(
  { http, tcp, udp }: PermissionSpec,
  patterns: PatternSource,
): Permission {
  return {
    http: http && {
      ports: portSet(http.ports),
      matches: compileMatches(http.matches, patterns),
    },
    tcp: tcp && { ports: portSet(tcp.ports) },
    udp: udp && { ports: portSet(udp.ports) },
  };
}

function portSet(ports: PortSet): ReadonlySet<number> | undefined {
  return ports === undefined ? undefined : new Set(ports);
}
