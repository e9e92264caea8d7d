// What each reason of a problem means, and what it does to the conditions of its object: one typed
// table, so that no reason can be told without being explained. The second half of
// docs/reference/reasons.md is rendered from it. Pure.
import type { ProblemReason } from '../api/index.ts';

/**
 * `refused`: the object, or a part of it, is not in force: Accepted is False. `unresolved`: it
 * names something that is not there: ResolvedRefs is False. `advice`: all of it is in force, but
 * its author should know something: Accepted stays True and carries reason and message.
 */
export type Standing = 'refused' | 'unresolved' | 'advice';

type ReasonFacts = { readonly standing: Standing; readonly meaning: string };

/** In the order of the page. */
export const problemReasons: { readonly [R in ProblemReason]: ReasonFacts } = {
  InvalidObject: {
    standing: 'refused',
    meaning:
      'The object, or the part that the message names, cannot be understood and has no effect; ' +
      'the message names field and fix.',
  },
  InvalidSetting: {
    standing: 'advice',
    meaning:
      'An annotation has a value that it does not take; it counts as absent, but a bad `policy` ' +
      'as `enforce` and a bad `mtls` as `strict`.',
  },
  UnresolvedRoute: {
    standing: 'unresolved',
    meaning:
      'A rule names a route, or a match of one, that does not exist; that rule opens nothing ' +
      '(R-8).',
  },
  UnresolvedService: {
    standing: 'unresolved',
    meaning: 'A TrafficSplit names a root Service that does not exist.',
  },
  Conflict: {
    standing: 'refused',
    meaning: 'Two objects claim the same thing; the older one has it (R-31, R-34).',
  },
  BackendMissing: {
    standing: 'unresolved',
    meaning: 'A backend of a TrafficSplit does not exist; the others share its part (R-36).',
  },
  BackendPortMissing: {
    standing: 'unresolved',
    meaning: 'A backend does not expose a port of the root; it takes no part there (R-36).',
  },
  NoBackendWeight: {
    standing: 'refused',
    meaning: 'All weights are zero: callers get 503 (R-35).',
  },
  ForeignDestination: {
    standing: 'refused',
    meaning: "A TrafficTarget's destination is in another namespace; it is ignored (R-3).",
  },
  NamespaceDefaulted: {
    standing: 'advice',
    meaning: "A source names no namespace; the target's own is taken (R-4).",
  },
  NoRules: { standing: 'refused', meaning: '`rules: []` allows nothing (R-6).' },
  InvalidPattern: {
    standing: 'refused',
    meaning: 'A regular expression is not RE2 syntax, or too large; that match is dropped (R-29).',
  },
  DuplicateMatch: {
    standing: 'refused',
    meaning: 'Two matches of a group have one name; the first one counts.',
  },
  ServicePortNamed: {
    standing: 'advice',
    meaning:
      "A port of a TrafficTarget or TCPRoute is a Service port; rules speak of the pods' ports " +
      '(R-13).',
  },
  WeightRounded: { standing: 'advice', meaning: 'A fractional weight was rounded down (R-38).' },
  ShapeMixed: {
    standing: 'advice',
    meaning: 'Fields stand both at the top level and in `spec`; `spec` counts.',
  },
  HostAliasRefused: {
    standing: 'refused',
    meaning:
      '`spec.service` is a name inside a mesh domain, the cluster domain or another namespace ' +
      '(R-31).',
  },
  MatchesDropped: {
    standing: 'advice',
    meaning:
      'A client that knows v1alpha1 or v1alpha2 of TrafficSplit only has replaced the object and ' +
      'with it removed `spec.matches`; the split takes all requests now (R-46).',
  },
  MatchesOnRoot: {
    standing: 'advice',
    meaning: '`matches` stands at the top level of an HTTPRouteGroup; it is used (R-19).',
  },
  UnsupportedField: {
    standing: 'refused',
    meaning: 'The field or annotation is understood and has no effect in this version.',
  },
  PortsExhausted: {
    standing: 'advice',
    meaning: 'All proxy ports for listeners are taken; this port gets none.',
  },
  HeadlessRoot: {
    standing: 'unresolved',
    meaning: 'The root of a split is headless; only calls by its mesh name are split (R-43).',
  },
  MirrorMissing: {
    standing: 'unresolved',
    meaning:
      '`weft.dev/mirror` names a Service, or a port of it, that the mesh does not know: nothing ' +
      'is copied there.',
  },
  AddressDisputed: {
    standing: 'advice',
    meaning:
      'Two live pods, or a pod and a node, claim one address: nobody is authenticated by it.',
  },
  DnsNotWired: {
    standing: 'advice',
    meaning:
      'The DNS of the cluster does not send mesh names to the mesh, or not everywhere: the ' +
      'message says why, and gives the lines to add by hand (docs/guides/dns.md).',
  },
  DnsReverted: {
    standing: 'advice',
    meaning:
      'Somebody takes the lines of the mesh out of the configuration of the DNS again and again; ' +
      'they are put back ever more slowly.',
  },
  DnsNotReloaded: {
    standing: 'advice',
    meaning:
      'Nothing makes CoreDNS read its Corefile anew: it has no `reload`. Restart it once, or add ' +
      '`reload` and restart it once.',
  },
  MeshDomainTaken: {
    standing: 'advice',
    meaning:
      'A namespace has the name of a mesh domain of one label, and names of its Services would ' +
      'be mesh names. A domain that is not in force yet is not wired then.',
  },
  NodeWithoutProxy: {
    standing: 'advice',
    meaning:
      'No proxy can run on these nodes (Windows, virtual, another architecture): pods there can ' +
      'call no mesh name. Told on DaemonSet `weft-proxy`.',
  },
  AuthorityMissing: {
    standing: 'refused',
    meaning:
      'Secret `weft-ca` is gone while ConfigMap `weft-trust` still trusts it. Nothing is signed ' +
      'and no new root is made: put the Secret back, or delete `weft-trust` too for a new root. ' +
      'Told on ConfigMap `weft-trust`.',
  },
  AuthorityRefused: {
    standing: 'refused',
    meaning:
      'Secret `weft-ca` holds no authority that may sign; the message says which part is wrong. ' +
      'Nothing is signed and trust stays as it is. Told on the Secret.',
  },
  RotationWaits: {
    standing: 'advice',
    meaning:
      'A rotation of the root waits for proxies that do not answer or do not follow; the message ' +
      'names their nodes. Both roots are trusted meanwhile. Told on Secret `weft-ca`.',
  },
  IdentityUnwatched: {
    standing: 'advice',
    meaning:
      'The controller cannot read what its part of identity is made of, most likely because its ' +
      'RBAC rules are older than its image: nothing is signed. Told on Secret `weft-ca`.',
  },
  TrustDomainForeign: {
    standing: 'refused',
    meaning:
      'Secret `weft-ca` is of another trust domain than `--trust-domain` of the controller. ' +
      'Nothing is signed. Told on the Secret. (Of a request: its SPIFFE id is of another one.)',
  },
};

/** Reasons of conditions that are as they should be, or not known yet. */
const otherReasons: readonly (readonly [condition: string, reason: string, meaning: string])[] = [
  ['Accepted', 'Accepted', 'True: all of the object is in force.'],
  ['ResolvedRefs', 'ResolvedRefs', 'True: everything that it names exists.'],
  [
    'ResolvedRefs',
    'NotRead',
    'Unknown: the object cannot be read, so what it names is not known; see `Accepted`.',
  ],
  ['Programmed', 'Programmed', 'True: every ready proxy has had this generation.'],
  [
    'Programmed',
    'Pending',
    'False: the message says on how many nodes the proxies have it already. Not withdrawn once ' +
      'it was True for a generation.',
  ],
  ['Programmed', 'NotRead', 'False: the object cannot be read, there is nothing to program.'],
];

const standingTexts: { readonly [S in Standing]: string } = {
  refused: '`Accepted` False',
  unresolved: '`ResolvedRefs` False',
  advice: '`Accepted` stays True',
};

/** The second half of docs/reference/reasons.md, from its heading on. */
export function renderProblemReasons(): string {
  const rows = Object.entries(problemReasons).map(
    ([reason, { standing, meaning }]) =>
      `| \`${reason}\` | ${standingTexts[standing]} | ${meaning} |`,
  );
  const others = otherReasons.map((row) => {
    const [condition, reason, meaning] = row;
    return `| ${condition} | \`${reason}\` | ${meaning} |`;
  });
  return `${problemsHeading}

Told as a Warning Event on the object, under \`/debug/problems\` on the controller's admin port, and
– for SMI objects – in the conditions of \`status\`, where the message says what to do. This table
is generated (\`npm run docs\`).

| reason | condition of an SMI object | meaning |
|---|---|---|
${rows.join('\n')}

## Conditions of SMI objects

| condition | reason | meaning |
|---|---|---|
${others.join('\n')}
`;
}

/** Where the generated half begins. */
export const problemsHeading = '## Problems of objects';
