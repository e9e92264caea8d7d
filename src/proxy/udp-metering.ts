// What the data plane tells of datagrams → metrics of this worker. A flow is counted once, by the
// proxy of its source, and datagrams by the flow that carried them; what was dropped by the service
// it was for. Labels come from objects of the cluster only.
import type { FlowFacts, UdpObserver } from '../dataplane/index.ts';
import type { Verdict } from '../route/index.ts';
import { UdpMeters, type MeterArena } from '../telemetry/index.ts';
import { destinationOf, sourceOf } from './metering.ts';

export type UdpMeteringOptions = {
  readonly meters: MeterArena;
  /** A fault of ours; who takes it counts it. */
  readonly onBug: (error: unknown) => void;
};

export function meteringUdp({ meters, onBug }: UdpMeteringOptions): UdpObserver {
  const udp = new UdpMeters(meters);
  const edgeOf = ({ source, host, destination }: FlowFacts) =>
    udp.edge({ ...sourceOf(source), ...destinationOf(host, destination) });
  return {
    flowOpened: (facts) => {
      const edge = edgeOf(facts);
      const { namespace, service } = facts.host;
      const there = udp.service({ destination_namespace: namespace, destination_service: service });
      edge.flowOpened();
      there.flowOpened();
      return {
        received: (bytes) => edge.received(bytes),
        sent: (bytes) => edge.sent(bytes),
        ended: (why) => there.flowClosed(why),
      };
    },
    flowJudged: (facts, verdict) => {
      edgeOf(facts).decided(actionOf(verdict), verdict.kind === 'allow' ? '' : verdict.reason);
    },
    datagramDropped: ({ namespace, service }, reason) => {
      const labels = { destination_namespace: namespace, destination_service: service };
      udp.service(labels).dropped(reason);
    },
    flowWentPlain: (reason) => {
      meters.add(meters.counter('weft_plain_requests_total', { reason }), 1);
    },
    bugFound: onBug,
  };
}

function actionOf({ kind }: Verdict): 'allow' | 'deny' | 'audit_deny' {
  return kind === 'audit' ? 'audit_deny' : kind;
}
