// TrafficSplit (split.smi-spec.io, every version) → one type. Weights are quantities in v1alpha1
// and numbers later, and appear in both spellings under every version. A split whose
// weights cannot be read is invalid as a whole: traffic shares that nobody wrote are worse than
// none.
import { parseObject, type Draft } from './draft.ts';
import { asObject, asText, describeValue, valueAt } from './json.ts';
import type { Parsed } from './object.ts';
import { integerRatio, parseQuantity, type Quantity } from '../lib/quantity.ts';
import type { SplitBackend, TrafficSplit } from './smi.ts';
import { readList, readName } from './smi-fields.ts';

/** The compiled order of a split counts in doubles and Envoy-sized totals; 10^9 is ample. */
const weightMax = 1_000_000_000n;

/** Parses a TrafficSplit. */
export function parseTrafficSplit(input: unknown): Parsed<TrafficSplit> {
  return parseObject('TrafficSplit', input, (draft) => {
    const spec = asObject(valueAt(draft.root, 'spec'));
    const service = readName(valueAt(spec, 'service'));
    if (service === undefined) {
      draft.report('InvalidObject', 'spec.service is no name: write the service that is called');
      return undefined;
    }
    const backends = readBackends(draft, valueAt(spec, 'backends'));
    const matches = readMatches(draft, valueAt(spec, 'matches'));
    if (backends === undefined || matches === 'invalid') return undefined;
    return {
      kind: 'TrafficSplit',
      meta: draft.meta,
      service: service.toLowerCase().replace(/\.$/, ''),
      backends,
      matches,
    };
  });
}

function readBackends(draft: Draft, value: unknown): readonly SplitBackend[] | undefined {
  const list = value === undefined ? [] : readList(draft, 'spec.backends', value);
  if (list === undefined) return undefined;
  const services: string[] = [];
  const weights: Quantity[] = [];
  for (const [index, item] of list.entries()) {
    const path = `spec.backends[${index}]`;
    const object = asObject(item);
    const service = readName(valueAt(object, 'service'));
    if (service === undefined) {
      draft.report('InvalidObject', `${path}.service is no name: write the name of a Service`);
      return undefined;
    }
    const weight = readWeight(draft, `${path}.weight`, valueAt(object, 'weight'));
    if (weight === undefined) return undefined;
    services.push(service);
    weights.push(weight);
  }
  const integers = reduce(integerRatio(weights));
  if (integers.some((weight) => weight > weightMax)) {
    const message = `spec.backends have weights over ${weightMax}: write smaller ones`;
    draft.report('InvalidObject', message);
    return undefined;
  }
  return services.map((service, index) => ({ service, weight: Number(integers[index] ?? 0n) }));
}

/** A JSON string is a quantity, a JSON number an integer. */
function readWeight(draft: Draft, path: string, value: unknown): Quantity | undefined {
  if (value === undefined) {
    draft.report('InvalidObject', `${path} is missing and counts as 0: write a whole number`);
    return { nano: 0n };
  }
  const text = asText(value);
  const weight = text === undefined ? numberWeight(draft, path, value) : parseQuantity(text);
  if (weight !== undefined && weight.nano >= 0n) return weight;
  const what = `${path} is ${describeValue(value)}`;
  draft.report('InvalidObject', `${what}: write a whole number from 0; the split is ignored`);
  return undefined;
}

function numberWeight(draft: Draft, path: string, value: unknown): Quantity | undefined {
  if (typeof value !== 'number' || Math.abs(value) > Number.MAX_SAFE_INTEGER) return undefined;
  const whole = Math.floor(value);
  if (whole !== value && value > 0) {
    const message = `${path} is ${value} and counts as ${whole}: write whole numbers`;
    draft.report('WeightRounded', message);
  }
  return { nano: BigInt(whole) * 1_000_000_000n };
}

/** Weights as they are, or in lowest terms when they are too large to keep. */
function reduce(weights: readonly bigint[]): readonly bigint[] {
  if (weights.every((weight) => weight <= weightMax)) return weights;
  const divisor = weights.reduce(greatestCommonDivisor, 0n);
  return divisor === 0n ? weights : weights.map((weight) => weight / divisor);
}

function greatestCommonDivisor(left: bigint, right: bigint): bigint {
  let [a, b] = [left, right];
  while (b !== 0n) [a, b] = [b, a % b];
  return a;
}

/**
 * Names of HTTPRouteGroups. Typed clients cannot tell an empty list from an absent one, so both
 * mean a split without conditions; references that cannot be used leave the list, even empty,
 * because a split that had conditions must not lose them.
 */
function readMatches(draft: Draft, value: unknown): readonly string[] | undefined | 'invalid' {
  if (value === undefined || value === null) return undefined;
  const list = readList(draft, 'spec.matches', value);
  if (list === undefined) return 'invalid';
  if (list.length === 0) return undefined;
  const names: string[] = [];
  for (const [index, item] of list.entries()) {
    const object = asObject(item);
    const name = readName(valueAt(object, 'name'));
    if (valueAt(object, 'kind') !== 'HTTPRouteGroup' || name === undefined) {
      const path = `spec.matches[${index}]`;
      draft.report('UnsupportedField', `${path} is left out: give kind HTTPRouteGroup and a name`);
    } else if (!names.includes(name)) {
      names.push(name);
    }
  }
  return names;
}
