// Whether the mesh did what the YAML asks for, judged by what the pods received and the callers
// got, never by the mesh's own metrics. Pure.

/** One backend of the split. */
export type ShareFact = {
  readonly backend: string;
  /** Weight in the TrafficSplit. */
  readonly weight: number;
  readonly received: number;
};

/** One line of traffic: what was sent, how it was answered, what arrived. */
export type CallerFact = {
  readonly caller: string;
  readonly host: string;
  readonly sent: number;
  readonly accepted: number;
  readonly denied: number;
  readonly failed: number;
  /** Requests with this caller's mark that the pods of the service received. */
  readonly received: number;
  readonly isAllowed: boolean;
};

/** Everything that is judged. */
export type DemoFacts = {
  readonly shares: readonly ShareFact[];
  readonly callers: readonly CallerFact[];
  /** SMI objects that the controller does not call Programmed, and why. */
  readonly pending: readonly string[];
};

/** Fewer requests prove nothing. */
const sampleMin = 50;
/** Points of a per cent beside the weight: splits are smooth, so this is generous. */
const shareTolerance = 0.02;

/** Both as fractions of one; 0 where nothing was received. */
export function shareOf(
  fact: ShareFact,
  all: readonly ShareFact[],
): { wanted: number; measured: number } {
  const weights = all.reduce((sum, one) => sum + one.weight, 0);
  const received = all.reduce((sum, one) => sum + one.received, 0);
  return {
    wanted: weights === 0 ? 0 : fact.weight / weights,
    measured: received === 0 ? 0 : fact.received / received,
  };
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

function shareFaults(shares: readonly ShareFact[]): readonly string[] {
  const received = shares.reduce((sum, one) => sum + one.received, 0);
  if (shares.length === 0) return ['there is no TrafficSplit to measure'];
  if (received < sampleMin) return [`the backends received only ${received} requests`];
  return shares.flatMap((fact) => {
    const { wanted, measured } = shareOf(fact, shares);
    if (Math.abs(wanted - measured) <= shareTolerance) return [];
    return [
      `${fact.backend} received ${percent(measured)}, the TrafficSplit says ${percent(wanted)}`,
    ];
  });
}

function callerFaults(fact: CallerFact): readonly string[] {
  const who = `${fact.caller} → ${fact.host}`;
  const faults: string[] = [];
  if (fact.sent < sampleMin) faults.push(`${who}: only ${fact.sent} requests were sent`);
  if (fact.failed > 0) faults.push(`${who}: ${fact.failed} requests failed`);
  if (fact.isAllowed) {
    if (fact.denied > 0) faults.push(`${who}: ${fact.denied} requests were denied`);
    if (fact.received !== fact.accepted) {
      faults.push(
        `${who}: ${fact.accepted} answers, but the pods received ${fact.received} requests`,
      );
    }
  } else {
    if (fact.accepted > 0) faults.push(`${who}: ${fact.accepted} requests were let through`);
    if (fact.received > 0) faults.push(`${who}: ${fact.received} requests reached a pod`);
  }
  return faults;
}

/** What is not as the YAML says; empty when all is. */
export function judge(facts: DemoFacts): readonly string[] {
  return [
    ...shareFaults(facts.shares),
    ...facts.callers.flatMap(callerFaults),
    ...facts.pending.map((why) => `not in force everywhere: ${why}`),
  ];
}
