// How a stored object looks to one request: in the version that was asked for, whole, as metadata
// only, or as a row of a table. Serialised objects are remembered, since many watches send the
// same.
import { objectAt, type JsonObject } from './json.ts';
import { apiVersionOf, type ResourceKind } from './kinds.ts';
import { eventAsCore, eventAsNew } from './events.ts';

const texts = new WeakMap<JsonObject, Map<string, string>>();

/** The object in the version of `kind`; the stored tree itself is left alone. */
export function viewOf(kind: ResourceKind, stored: JsonObject): JsonObject {
  const apiVersion = apiVersionOf(kind);
  if (kind.kind === 'Event') {
    return kind.group === '' ? eventAsCore(stored) : eventAsNew(stored);
  }
  const { apiVersion: _version, kind: _kind, ...rest } = stored;
  return { apiVersion, kind: kind.kind, ...rest };
}

/** The JSON text of `viewOf`. */
export function viewText(kind: ResourceKind, stored: JsonObject): string {
  const key = `${apiVersionOf(kind)}/${kind.kind}`;
  let known = texts.get(stored);
  if (known === undefined) {
    known = new Map();
    texts.set(stored, known);
  }
  let text = known.get(key);
  if (text === undefined) {
    text = JSON.stringify(viewOf(kind, stored));
    known.set(key, text);
  }
  return text;
}

/** `Accept: …;as=PartialObjectMetadata`: what garbage collectors and metadata informers ask for. */
export function metadataOnly(object: JsonObject): JsonObject {
  return {
    apiVersion: 'meta.k8s.io/v1',
    kind: 'PartialObjectMetadata',
    metadata: objectAt(object, 'metadata'),
  };
}

/** Items of a list of built-in kinds carry neither apiVersion nor kind; custom ones do. */
export function asItem(kind: ResourceKind, stored: JsonObject): JsonObject {
  const view = viewOf(kind, stored);
  if (kind.isCustom) return view;
  const { apiVersion: _version, kind: _kind, ...rest } = view;
  return rest;
}

/** `a, b` of the Accept header as media types with parameters, best first as written. */
export function acceptedForms(accept: string): readonly { form: string; version: string }[] {
  return accept.split(',').map((part) => {
    const parameters = new Map(
      part
        .split(';')
        .slice(1)
        .map((pair) => {
          const [key = '', value = ''] = pair.trim().split('=');
          return [key, value] as const;
        }),
    );
    return { form: parameters.get('as') ?? '', version: parameters.get('v') ?? '' };
  });
}
