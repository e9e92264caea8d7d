// What an installation can be told, as a tree of typed values: each leaf has its default, the
// schema of what may stand there and one sentence. `weft install`, the chart's values.yaml and its
// values.schema.json come from such a tree; this file knows no value itself.
import { entriesOf, isMap, type Json, type JsonMap } from './json.ts';

export type Leaf<T> = {
  readonly kind: 'leaf';
  readonly initial: T;
  /** JSON Schema in the subset that structural schemas of CustomResourceDefinitions have, too. */
  readonly schema: JsonMap;
  readonly doc: string;
};

export type Group<F> = {
  readonly kind: 'group';
  readonly fields: F;
  readonly doc: string;
};

type Node = Leaf<unknown> | Group<unknown>;

/** The type of the values that a tree describes. */
export type ValuesOf<N> =
  N extends Leaf<infer T>
    ? T
    : N extends Group<infer F>
      ? { readonly [K in keyof F]: ValuesOf<F[K]> }
      : never;

export function group<F extends { readonly [name: string]: Node }>(
  doc: string,
  fields: F,
): Group<F> {
  return { kind: 'group', fields, doc };
}

export function leaf<T extends Json>(initial: T, schema: JsonMap, doc: string): Leaf<T> {
  return { kind: 'leaf', initial, schema, doc };
}

/** Children of a group by name, in the order in which they are printed. */
export function childrenOf(node: Group<unknown>): readonly (readonly [string, Node])[] {
  // The constructor `group` takes nothing but records of nodes.
  return Object.entries(node.fields as Readonly<Record<string, Node>>);
}

/** All defaults. */
export function initialOf(node: Node): Json {
  // The constructor `leaf` takes nothing but JSON.
  if (node.kind === 'leaf') return node.initial as Json;
  return Object.fromEntries(childrenOf(node).map(([name, child]) => [name, initialOf(child)]));
}

/** JSON Schema of the tree; nothing that is not in it is allowed, so that a typo fails. */
export function schemaOf(node: Node): JsonMap {
  if (node.kind === 'leaf') return { ...node.schema, description: node.doc };
  const children = childrenOf(node).map(([name, child]) => [name, schemaOf(child)] as const);
  return {
    description: node.doc,
    type: 'object',
    additionalProperties: false,
    required: children.map(([name]) => name),
    properties: Object.fromEntries(children),
  };
}

/**
 * The values with an empty list or object where one was taken away. Another leaf that is missing is
 * left so: the schema calls it required.
 */
export function completed(node: Node, value: Json | undefined): Json | undefined {
  if (node.kind === 'leaf') {
    if (value !== undefined) return value;
    const type = node.schema['type'];
    return type === 'object' ? {} : type === 'array' ? [] : undefined;
  }
  const given = new Map(entriesOf(value ?? null));
  const fields = childrenOf(node).flatMap(([name, child]) => {
    const field = completed(child, given.get(name));
    return field === undefined ? [] : [[name, field] as const];
  });
  // What is no map at all is for the schema to tell.
  return value === undefined || isMap(value) ? Object.fromEntries(fields) : value;
}

/** Names that stand in `value` and not in the schema, as paths. */
export function unknownNames(schema: Json, value: Json, path = ''): readonly string[] {
  return entriesOf(value).flatMap(([name, child]) => {
    const fields = new Map(entriesOf(schema));
    const known = new Map(entriesOf(fields.get('properties') ?? null)).get(name);
    const here = path === '' ? name : `${path}.${name}`;
    if (known !== undefined) return unknownNames(known, child, here);
    return fields.get('additionalProperties') === false ? [here] : [];
  });
}
