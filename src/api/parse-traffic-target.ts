// TrafficTarget (access.smi-spec.io, every version) → one type. v1alpha1 has its fields at the top
// (`destination`, `sources`, `specs`), the others below `spec`. A target only ever allows, so all
// that is doubtful here makes it allow less: a bad source is left out, a bad rule or port voids the
// target – a rule that is merely left out could widen it, since TCPRoutes narrow ports.
import { parseObject, type Draft } from './draft.ts';
import { asObject, asPort, asText, describeValue, hasKey, valueAt } from './json.ts';
import type { JsonObject } from './json.ts';
import type { Parsed } from './object.ts';
import type { RuleKind, Subject, TargetRule, TrafficTarget } from './smi.ts';
import { readList, readName, readNames } from './smi-fields.ts';

/** Where an object has its fields. */
type Shape = {
  readonly fields: JsonObject;
  /** `spec.` or nothing, for messages. */
  readonly prefix: string;
  readonly rulesKey: 'rules' | 'specs';
  /** `destination.port` of the shape that lost: it narrows all the same. */
  readonly otherDestination: JsonObject | undefined;
};

const ruleKinds: readonly RuleKind[] = ['HTTPRouteGroup', 'TCPRoute', 'UDPRoute'];

/** Parses a TrafficTarget by its shape. */
export function parseTrafficTarget(input: unknown): Parsed<TrafficTarget> {
  return parseObject('TrafficTarget', input, (draft) => {
    const shape = findShape(draft);
    if (shape === undefined) return undefined;
    const { fields, prefix } = shape;
    const destination = asObject(valueAt(fields, 'destination'));
    const subject = readSubject(destination);
    if (subject === undefined) {
      const path = `${prefix}destination`;
      draft.report('InvalidObject', `${path} is no subject: give it kind and name as strings`);
      return undefined;
    }
    const port = readDestinationPort(draft, shape, destination);
    const sources = readSources(draft, `${prefix}sources`, valueAt(fields, 'sources'));
    const rules = readRules(draft, shape);
    if (port === 'invalid' || rules === 'invalid' || sources === undefined) return undefined;
    const { meta } = draft;
    const kind = 'TrafficTarget';
    return { kind, meta, destination: subject, destinationPort: port, sources, rules };
  });
}

function findShape(draft: Draft): Shape | undefined {
  const { root } = draft;
  const specValue = valueAt(root, 'spec');
  const spec = asObject(specValue);
  if (spec === undefined && specValue !== undefined && specValue !== null) {
    draft.report('InvalidObject', `spec is ${describeValue(specValue)}: write an object`);
    return undefined;
  }
  const isBelow =
    spec !== undefined && ['destination', 'sources', 'rules'].some((key) => hasKey(spec, key));
  const isOnTop = ['destination', 'sources', 'specs'].some((key) => hasKey(root, key));
  if (isBelow && isOnTop) {
    const fields = 'destination, sources or specs at the top and below spec';
    draft.report('ShapeMixed', `${fields}: spec counts, remove those at the top`);
  }
  const hasLostRules = isBelow
    ? !hasKey(spec, 'rules') && (hasKey(root, 'specs') || hasKey(spec, 'specs'))
    : !hasKey(root, 'specs') && hasKey(root, 'rules');
  if (hasLostRules) {
    // Reading this as "no rules" would allow every route, which nobody wrote.
    draft.report('ShapeMixed', 'rules are not where they belong: move them to spec.rules');
    return undefined;
  }
  const topDestination = asObject(valueAt(root, 'destination'));
  return isBelow
    ? { fields: spec, prefix: 'spec.', rulesKey: 'rules', otherDestination: topDestination }
    : { fields: root, prefix: '', rulesKey: 'specs', otherDestination: undefined };
}

/** A subject, or `undefined` when kind or name is missing or anything is no string. */
function readSubject(object: JsonObject | undefined): Subject | undefined {
  const kind = readName(valueAt(object, 'kind'));
  const name = readName(valueAt(object, 'name'));
  const namespace = valueAt(object, 'namespace') ?? '';
  if (kind === undefined || name === undefined || typeof namespace !== 'string') return undefined;
  return { kind, name, namespace: namespace === '' ? undefined : namespace };
}

function readDestinationPort(
  draft: Draft,
  shape: Shape,
  destination: JsonObject | undefined,
): number | undefined | 'invalid' {
  const value = valueAt(destination, 'port') ?? valueAt(shape.otherDestination, 'port');
  const isNull = destination !== undefined && valueAt(destination, 'port') === null;
  if (value === undefined && !isNull) return undefined;
  // The schema is int-or-string, so that a number in quotes can arrive.
  const digits = asText(value);
  const port = asPort(digits !== undefined && /^[0-9]{1,5}$/.test(digits) ? Number(digits) : value);
  if (port !== undefined) return port;
  const path = `${shape.prefix}destination.port`;
  draft.report('InvalidObject', `${path} is ${describeValue(value)}: write a port number or none`);
  return 'invalid';
}

/** Bad sources are left out, which allows less; `undefined` when there is no list at all. */
function readSources(draft: Draft, path: string, value: unknown): readonly Subject[] | undefined {
  const list = value === undefined ? [] : readList(draft, path, value);
  if (list === undefined) return undefined;
  const sources: Subject[] = [];
  for (const [index, item] of list.entries()) {
    const subject = readSubject(asObject(item));
    if (subject !== undefined) {
      sources.push(subject);
      continue;
    }
    const what = `${path}[${index}] is no subject`;
    draft.report('InvalidObject', `${what}: give it kind and name as strings; it is left out`);
  }
  if (list.length === 0) {
    draft.report('InvalidObject', `${path} is empty: name whom the target allows`);
  }
  return sources;
}

/** `undefined`: the key is absent, which allows every route; an empty list is invalid. */
function readRules(draft: Draft, shape: Shape): readonly TargetRule[] | undefined | 'invalid' {
  const path = `${shape.prefix}${shape.rulesKey}`;
  if (!hasKey(shape.fields, shape.rulesKey)) return undefined;
  const value = valueAt(shape.fields, shape.rulesKey);
  const list = value === null ? [] : readList(draft, path, value);
  if (list === undefined) return 'invalid';
  if (list.length === 0) {
    draft.report('NoRules', `${path} is empty: the target allows nothing, add a rule`);
    return 'invalid';
  }
  const rules: TargetRule[] = [];
  for (const [index, item] of list.entries()) {
    const rule = readRule(draft, `${path}[${index}]`, item);
    if (rule === undefined) return 'invalid';
    rules.push(rule);
  }
  return rules;
}

function readRule(draft: Draft, path: string, item: unknown): TargetRule | undefined {
  const object = asObject(item);
  const said = valueAt(object, 'kind');
  const kind = ruleKinds.find((known) => known === said);
  const name = readName(valueAt(object, 'name'));
  if (object === undefined || kind === undefined || name === undefined) {
    const fix = `give it a name and a kind, one of ${ruleKinds.join(', ')}`;
    draft.report('InvalidObject', `${path} is no rule: ${fix}; the target is ignored`);
    return undefined;
  }
  if (!hasKey(object, 'matches')) return { kind, name, matches: undefined };
  if (kind !== 'HTTPRouteGroup') {
    draft.report('UnsupportedField', `${path}.matches means nothing for a ${kind}: remove it`);
    return { kind, name, matches: undefined };
  }
  const matches = readNames(draft, `${path}.matches`, valueAt(object, 'matches'));
  if (matches === undefined) return undefined;
  if (matches.length === 0) {
    const fix = 'remove the key to allow all matches of the group';
    draft.report('InvalidObject', `${path}.matches is empty, so the rule allows nothing: ${fix}`);
  }
  return { kind, name, matches };
}
