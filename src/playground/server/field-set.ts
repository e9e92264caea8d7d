// Sets of fields, as `managedFields` has them. A field is a path of steps – `f:name`, `k:{keys}`,
// `v:value` – joined into one text, so that union, intersection and difference are those of Sets.
// FieldsV1, the form on the wire, is the same as a tree, where `.` says that a node itself belongs.
// See kubernetes-sigs/structured-merge-diff, fieldpath.
import { isObject, type Json, type JsonObject } from './json.ts';
import {
  declaredField,
  fieldShape,
  isAtomicMap,
  itemKey,
  itemShape,
  listForm,
  type Shape,
} from './shape.ts';

/** Paths as `joinPath` makes them. */
export type FieldSet = ReadonlySet<string>;

const separator = '\u0000';

/** The path one step further; the separator cannot be part of a step. */
export function joinPath(parent: string, step: string): string {
  return parent === '' ? step : parent + separator + step;
}

function stepsOf(path: string): readonly string[] {
  return path.split(separator);
}

/** All fields of all sets. */
export function union(sets: readonly FieldSet[]): Set<string> {
  const all = new Set<string>();
  for (const set of sets) for (const path of set) all.add(path);
  return all;
}

/** What of a set is not in another. */
export function without(set: FieldSet, removed: FieldSet): Set<string> {
  return new Set([...set].filter((path) => !removed.has(path)));
}

/** What is in both sets. */
export function intersection(left: FieldSet, right: FieldSet): Set<string> {
  return new Set([...left].filter((path) => right.has(path)));
}

/** The step that names an item of a list that is a set or a map. */
export function itemStep(shape: Shape, item: Json): string {
  const form = listForm(shape);
  return form.kind === 'map' ? `k:${itemKey(shape, form.keys, item)}` : `v:${JSON.stringify(item)}`;
}

/** Every field that `value` sets, seen through its schema. */
export function fieldsOf(shape: Shape, value: Json): Set<string> {
  const found = new Set<string>();
  visitFields({ shape, value }, '', (path) => void found.add(path));
  return found;
}

/** A value, with its schema. */
type Seen = { readonly shape: Shape; readonly value: Json };
type Visit = (path: string, seen: Seen) => void;

/** May visit a field twice. */
function visitFields({ shape, value }: Seen, path: string, visit: Visit): void {
  if (Array.isArray(value)) {
    if (listForm(shape).kind === 'atomic') {
      visit(path, { shape, value });
      return;
    }
    for (const item of value) {
      const place = joinPath(path, itemStep(shape, item));
      const seen = { shape: itemShape(shape), value: item };
      visit(place, seen);
      if (isObject(item)) visitFields(seen, place, visit);
    }
    return;
  }
  if (!isObject(value) || (path !== '' && isAtomicMap(shape))) {
    if (path !== '') visit(path, { shape, value });
    return;
  }
  for (const [key, field] of Object.entries(value)) {
    const place = joinPath(path, `f:${key}`);
    const seen = { shape: fieldShape(shape, key), value: field };
    visitFields(seen, place, visit);
    const isEmpty = field === null || (isObject(field) && Object.keys(field).length === 0);
    if (isEmpty || declaredField(shape, key) === undefined) visit(place, seen);
  }
}

/** Fields that `value` has and `other` has not, or has with another value. */
export function changedFields(shape: Shape, value: Json, other: Json | undefined): Set<string> {
  const mine = valuesOf(shape, value);
  const theirs = other === undefined ? new Map<string, string>() : valuesOf(shape, other);
  return new Set(
    [...mine].filter(([path, text]) => theirs.get(path) !== text).map(([path]) => path),
  );
}

/**
 * Path → canonical text of a leaf; containers that belong to the set are told by presence alone.
 */
function valuesOf(shape: Shape, value: Json): Map<string, string> {
  const values = new Map<string, string>();
  visitFields({ shape, value }, '', (path, seen) => {
    const isLeaf = !isContainer(seen.shape, seen.value);
    values.set(path, isLeaf ? canonical(seen.value) : '');
  });
  return values;
}

function isContainer(shape: Shape, value: Json): boolean {
  if (Array.isArray(value)) return listForm(shape).kind !== 'atomic';
  return isObject(value) && !isAtomicMap(shape);
}

function canonical(value: Json): string {
  return JSON.stringify(value, (_key, part: Json) =>
    isObject(part)
      ? Object.fromEntries(Object.entries(part).sort(([left], [right]) => (left < right ? -1 : 1)))
      : part,
  );
}

/** The wire form. */
export function toFieldsV1(set: FieldSet): JsonObject {
  const root: JsonObject = {};
  for (const path of [...set].sort()) {
    let node = root;
    for (const step of stepsOf(path)) {
      const next = node[step];
      const child: JsonObject = isObject(next) ? next : {};
      node[step] = child;
      node = child;
    }
    // Marked here, and unmarked below where the node turns out to be a leaf.
    node['.'] = {};
  }
  return unmarkLeaves(root);
}

function unmarkLeaves(node: JsonObject): JsonObject {
  const keys = Object.keys(node);
  if (keys.length === 1 && keys[0] === '.') return {};
  return Object.fromEntries(
    Object.entries(node).map(([key, child]): [string, Json] => [
      key,
      key !== '.' && isObject(child) ? unmarkLeaves(child) : child,
    ]),
  );
}

/** From the wire form; what is no tree of objects is ignored. */
export function fromFieldsV1(fields: Json | undefined): Set<string> {
  const found = new Set<string>();
  const visit = (node: JsonObject, path: string): void => {
    const children = Object.entries(node);
    if (path !== '' && (children.length === 0 || node['.'] !== undefined)) found.add(path);
    for (const [step, child] of children) {
      if (step !== '.' && isObject(child)) visit(child, joinPath(path, step));
    }
  };
  if (isObject(fields)) visit(fields, '');
  return found;
}

/** `.spec.ports[port=80,protocol="TCP"].name`, as conflicts are told. */
export function readablePath(path: string): string {
  return stepsOf(path)
    .map((step) => {
      if (step.startsWith('f:')) return `.${step.slice(2)}`;
      if (!step.startsWith('k:')) return `[=${step.slice(2)}]`;
      const keys = Object.entries(JSON.parse(step.slice(2)) as JsonObject); // made by itemKey
      return `[${keys.map(([key, value]) => `${key}=${JSON.stringify(value)}`).join(',')}]`;
    })
    .join('');
}
