// One object while it is parsed: its JSON, its pruned metadata and the problems found so far.
// Every parser of this module is a function of a draft; what is not copied out of `root` is
// garbage afterwards, which is how objects are pruned. Parsers never throw: whoever writes
// nonsense into one object must not stop the others from being read (A6).
import {
  asInteger,
  asObject,
  asText,
  describeValue,
  entriesOf,
  valueAt,
  type JsonObject,
} from './json.ts';
import type { Kind, ObjectMeta, Parsed, Problem, ProblemReason } from './object.ts';
import { parseTimestamp } from '../lib/timestamp.ts';

/** Problems that are told of one object: who has mended twenty sees the next. */
export const problemsMax = 20;

export type Draft = {
  readonly kind: Kind;
  readonly root: JsonObject;
  readonly meta: ObjectMeta;
  /** Notes one problem of this object; the message says what, where and how to mend it. */
  readonly report: (reason: ProblemReason, message: string) => void;
};

const nameBytesMax = 253;
/** The API server's own bound for all annotations of an object together. */
const annotationBytesMax = 256 * 1024;
const clusterScoped: ReadonlySet<Kind> = new Set<Kind>(['Node', 'Namespace']);
const keptKeys: ReadonlySet<string> = new Set(['kubernetes.io/service-name']);
const keptPrefixes = ['weft.dev/', 'mesh.traefik.io/', 'maesh.containo.us/'];
const nothing: ReadonlyMap<string, string> = new Map();

/** Parses one object: metadata here, the rest by `body`, which returns `undefined` to give up. */
export function parseObject<T>(
  kind: Kind,
  input: unknown,
  body: (draft: Draft) => T | undefined,
): Parsed<T> {
  const problems: Problem[] = [];
  const root = asObject(input);
  const metadata = asObject(valueAt(root, 'metadata'));
  const name = asText(valueAt(metadata, 'name')) ?? '';
  const namespace = clusterScoped.has(kind) ? '' : (asText(valueAt(metadata, 'namespace')) ?? '');
  const report = (reason: ProblemReason, message: string): void => {
    if (problems.length < problemsMax) problems.push({ reason, kind, namespace, name, message });
  };
  const refusal = refuse(kind, root, { name, namespace });
  if (refusal !== undefined || root === undefined || metadata === undefined) {
    report('InvalidObject', refusal ?? 'metadata is missing: the object is ignored');
    return { value: undefined, problems };
  }
  const meta = readMeta(metadata, { name, namespace }, report);
  return { value: body({ kind, root, meta, report }), problems };
}

type Names = { readonly name: string; readonly namespace: string };

/** Why this JSON is no object of the kind, or `undefined`. */
function refuse(kind: Kind, root: JsonObject | undefined, names: Names): string | undefined {
  if (root === undefined) return 'this is no JSON object: it is ignored';
  const said = valueAt(root, 'kind');
  // Items of a list carry no kind of their own.
  if (said !== undefined && said !== kind) {
    return `kind is ${describeValue(said)} where ${kind} is due: the object is ignored`;
  }
  if (names.name === '' || names.name.length > nameBytesMax) {
    return 'metadata.name is missing or too long: the object is ignored';
  }
  if (clusterScoped.has(kind)) return undefined;
  if (names.namespace === '' || names.namespace.length > nameBytesMax) {
    return 'metadata.namespace is missing or too long: the object is ignored';
  }
  return undefined;
}

function readMeta(metadata: JsonObject, names: Names, report: Draft['report']): ObjectMeta {
  const created = asText(valueAt(metadata, 'creationTimestamp'));
  return {
    namespace: names.namespace,
    name: names.name,
    uid: asText(valueAt(metadata, 'uid')) ?? '',
    generation: asInteger(valueAt(metadata, 'generation')) ?? 0,
    createdMs: (created === undefined ? undefined : parseTimestamp(created)) ?? 0,
    labels: readKept(valueAt(metadata, 'labels'), 'label', report),
    annotations: readKept(valueAt(metadata, 'annotations'), 'annotation', report),
  };
}

function isKept(key: string): boolean {
  return keptKeys.has(key) || keptPrefixes.some((prefix) => key.startsWith(prefix));
}

/** The labels or annotations that the mesh reads; most objects have none and share one map. */
function readKept(
  value: unknown,
  word: string,
  report: Draft['report'],
): ReadonlyMap<string, string> {
  const object = asObject(value);
  if (object === undefined) return nothing;
  let kept: Map<string, string> | undefined;
  for (const [key, text] of entriesOf(object)) {
    if (!isKept(key)) continue;
    if (typeof text !== 'string' || text.length > annotationBytesMax) {
      report('InvalidSetting', `${word} ${key} is no string of at most 256 KiB: it is ignored`);
      continue;
    }
    kept ??= new Map();
    kept.set(key, text);
  }
  return kept ?? nothing;
}
