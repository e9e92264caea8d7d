// Rules of the admission policy about SMI objects: those contradictions that an object carries in
// itself. What needs other objects to be seen, or a parser, is told by conditions. The words are
// those of the problems that the mesh would report. An object is judged when its meaning is new or
// changed, so that labels and status can be written on old ones.
import type { AdmissionRule, AdmissionVariable } from './setting-rules.ts';

/** Where fields of an SMI object stand in its versions. */
const meaning = ['spec', 'destination', 'sources', 'specs', 'matches'];

export const smiVariables: readonly AdmissionVariable[] = [
  {
    name: 'judged',
    expression: `request.kind.group == "" || ${unchanged()} ? "" : request.kind.kind`,
  },
  // Untyped: for the API server's type check it would be a Service in one case of four.
  { name: 'smi', expression: 'dyn(object)' },
  { name: 'spec', expression: 'variables.smi.?spec.orValue({})' },
  // TrafficTarget v1alpha1 has its fields at the top; `spec` counts where both are there.
  {
    name: 'isBelow',
    expression: '["destination", "sources", "rules"].exists(key, key in variables.spec)',
  },
  {
    name: 'destination',
    expression:
      '(variables.isBelow ? variables.spec.?destination : variables.smi.?destination)' +
      '.orValue({})',
  },
  {
    name: 'sources',
    expression:
      '(variables.isBelow ? variables.spec.?sources : variables.smi.?sources).orValue([])',
  },
  {
    name: 'rules',
    expression: '(variables.isBelow ? variables.spec.?rules : variables.smi.?specs).orValue([])',
  },
  {
    name: 'hasRules',
    expression: 'variables.isBelow ? has(variables.spec.rules) : has(variables.smi.specs)',
  },
  {
    name: 'matches',
    expression:
      'has(variables.spec.matches) ? variables.spec.matches : variables.smi.?matches.orValue([])',
  },
  { name: 'matchNames', expression: 'variables.matches.map(match, match.name)' },
  {
    name: 'backendNames',
    expression: 'variables.spec.?backends.orValue([]).map(backend, backend.service)',
  },
  { name: 'root', expression: 'variables.spec.?service.orValue("").split(".")' },
];

function unchanged(): string {
  const same = meaning.map(
    (field) => `object.?${field}.orValue(null) == oldObject.?${field}.orValue(null)`,
  );
  return `(oldObject != null && ${same.join(' && ')})`;
}

/**
 * The look costs the square of the length: of 1 000 names the API server takes seconds before it
 * gives up. Of longer lists the mesh tells it by conditions.
 */
const comparedMax = 200;

function areDistinct(names: string): string {
  const isOnce = `${names}.indexOf(name) == ${names}.lastIndexOf(name)`;
  return `size(${names}) > ${comparedMax} || ${names}.all(name, ${isOnce})`;
}

/** A rule that holds for everything but objects of one kind. */
function of(kind: string, condition: string, message: string, detail?: string): AdmissionRule {
  const expression = `variables.judged != "${kind}" || (${condition})`;
  return detail === undefined ? { expression, message } : { expression, message, detail };
}

export function smiRules(): readonly AdmissionRule[] {
  return [...targetRules(), ...groupRules(), ...splitRules()];
}

const own = 'object.metadata.namespace';
const empty = '(variables.rules == null || size(variables.rules) == 0)';

function targetRules(): readonly AdmissionRule[] {
  const kind = 'TrafficTarget';
  const namespace = `variables.destination.?namespace.orValue(${own})`;
  const isAccount = (subject: string): string =>
    `${subject}.?kind.orValue("ServiceAccount") == "ServiceAccount"`;
  return [
    of(
      kind,
      `${namespace} == "" || ${namespace} == ${own}`,
      'destination is in another namespace: a TrafficTarget opens its own namespace only',
      `"destination is in namespace " + ${namespace} + ": a TrafficTarget opens its own ` +
        `namespace only, create it in " + ${namespace}`,
    ),
    of(
      kind,
      '!variables.isBelow || ' +
        '!["destination", "sources", "specs"].exists(key, key in variables.smi)',
      'destination, sources or specs stand at the top and below spec: remove those at the top',
    ),
    of(
      kind,
      `!variables.hasRules || !${empty}`,
      'the list of rules is empty: the target allows nothing, add a rule',
    ),
    of(
      kind,
      `variables.rules == null || variables.rules.all(rule, ` +
        'rule.kind == "HTTPRouteGroup" || !has(rule.matches))',
      'matches mean something for an HTTPRouteGroup only: remove them from the other rules',
    ),
    of(
      kind,
      'variables.rules == null || variables.rules.all(rule, ' +
        '!has(rule.matches) || rule.matches == null || size(rule.matches) > 0)',
      'matches of a rule are empty, so it allows nothing: remove the key to allow all matches',
    ),
    of(
      kind,
      `${isAccount('variables.destination')} && ` +
        `variables.sources.all(source, ${isAccount('source')})`,
      'kind of destination and sources: write ServiceAccount, nothing else is an identity',
    ),
  ];
}

function groupRules(): readonly AdmissionRule[] {
  const kind = 'HTTPRouteGroup';
  const texts = (map: string): string =>
    `${map}.all(name, type(${map}[name]) == string)`;
  return [
    of(
      kind,
      '!(has(variables.spec.matches) && has(variables.smi.matches))',
      'matches stand at the top and below spec: remove those at the top',
    ),
    of(
      kind,
      areDistinct('variables.matchNames'),
      'two matches have the same name: rename one',
    ),
    of(
      kind,
      'variables.matches.all(match, !has(match.headers) || match.headers == null || ' +
        `(type(match.headers) == list ? match.headers.all(header, ${texts('header')}) : ` +
        `${texts('match.headers')}))`,
      'the pattern of a header is no text: quote it (YAML takes yes, on and 1 for something else)',
    ),
  ];
}

function splitRules(): readonly AdmissionRule[] {
  const kind = 'TrafficSplit';
  return [
    of(
      kind,
      '!(size(variables.root) >= 3 && variables.root[2] == "svc") || ' +
        `variables.root[1] == ${own}`,
      'spec.service is in another namespace: create the TrafficSplit there',
    ),
    of(
      kind,
      areDistinct('variables.backendNames'),
      'a backend is named twice: add its weights up and name it once',
    ),
  ];
}
