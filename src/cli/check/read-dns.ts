// What the DNS of the cluster does for the mesh, as findings. The looking is the controller's own
// (the same functions wire it), so that a check and the controller never disagree.
import type { MeshSettings } from '../../api/index.ts';
import { inspectDns, type DnsReport } from '../../controller/index.ts';
import type { Connection } from '../../kube/index.ts';
import { failed, ok, warning, type Finding } from './finding.ts';
import type { DnsFacts } from './pre-facts.ts';

export type DnsReading = { readonly facts: DnsFacts; readonly findings: readonly Finding[] };

export async function readDns(connection: Connection, settings: MeshSettings): Promise<DnsReading> {
  const report = await inspectDns(connection, settings);
  return { facts: factsOf(report), findings: dnsFindings(report) };
}

function placesOf({ places }: DnsReport): string {
  return places
    .map(({ namespace, configMap, key }) => `${namespace}/${configMap} ${key}`)
    .join(', ');
}

function factsOf(report: DnsReport): DnsFacts {
  const canWire = report.provider !== undefined && report.provider !== 'openshift';
  return {
    provider: canWire ? report.provider : undefined,
    place: placesOf(report),
    byHand: report.linesByHand === '' ? undefined : report.linesByHand,
  };
}

/** Of an installed mesh. */
function dnsFindings(report: DnsReport): readonly Finding[] {
  const findings = report.problems.map(({ reason, message }) => {
    // The first line says what is wrong, the others are to be copied.
    const [what = '', ...lines] = message.split('\n');
    const byHand = lines.join('\n').trimEnd();
    const fix = byHand === '' ? 'see docs/guides/dns.md' : `\n${byHand}`;
    const isHarmless = reason === 'DnsReverted' || reason === 'DnsNotReloaded';
    return isHarmless ? warning('dns', what, fix) : failed('dns', what, fix);
  });
  if (findings.length > 0) return findings;
  const places = placesOf(report);
  if (report.isWired) return [ok('dns', `${report.provider ?? 'DNS'} is wired in ${places}`)];
  const message = `${report.provider ?? 'the DNS of the cluster'} is not wired yet in ${places}`;
  const fix = 'the leading controller does it within seconds: look again, then see its log';
  return [failed('dns', message, fix)];
}
