// From a path to what it names: a collection, an object or one of its subresources, as in
// kubernetes.io/docs/reference/using-api/api-concepts. Knows nothing of methods.
import type { Registry, ResourceKind } from './kinds.ts';

/** A path that names something served. */
export type ResourcePath = {
  readonly kind: ResourceKind;
  /** `undefined`: all namespaces, or a cluster-scoped kind. */
  readonly namespace: string | undefined;
  /** `undefined`: the collection. */
  readonly name: string | undefined;
  /** Empty for the object itself. */
  readonly subresource: string;
};

type Root = { readonly group: string; readonly version: string; readonly rest: readonly string[] };

function rootOf(segments: readonly string[]): Root | undefined {
  const [first, second, third] = segments;
  if (first === 'api' && second !== undefined) {
    return { group: '', version: second, rest: segments.slice(2) };
  }
  if (first === 'apis' && second !== undefined && third !== undefined) {
    return { group: second, version: third, rest: segments.slice(3) };
  }
  return undefined;
}

function named(
  kind: ResourceKind | undefined,
  namespace: string | undefined,
  rest: readonly string[],
) {
  const [name, subresource = ''] = rest;
  if (kind === undefined || rest.length > 2) return undefined;
  if (subresource !== '' && !kind.subresources.includes(subresource)) return undefined;
  return { kind, namespace, name, subresource };
}

/** What a path names; `undefined` when nothing is served there. */
export function resourcePath(registry: Registry, path: string): ResourcePath | undefined {
  let segments: readonly string[];
  try {
    segments = path
      .split('/')
      .filter((part) => part !== '')
      .map(decodeURIComponent);
  } catch {
    // Malformed percent-encoding names nothing.
    return undefined;
  }
  const root = rootOf(segments);
  const first = root?.rest[0];
  if (root === undefined || first === undefined) return undefined;
  const [, namespace, plural] = root.rest;
  if (first === 'namespaces' && namespace !== undefined && plural !== undefined) {
    const inside = registry.find(root.group, root.version, plural);
    if (inside?.isNamespaced === true) return named(inside, namespace, root.rest.slice(3));
  }
  const kind = registry.find(root.group, root.version, first);
  const rest = root.rest.slice(1);
  // A namespaced kind without a namespace is a collection over all of them, nothing else.
  if (kind?.isNamespaced === true && rest.length > 0) return undefined;
  return named(kind, undefined, rest);
}
