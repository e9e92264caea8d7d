// Server-side apply.
import type { ApiContext, WriteOptions } from './context.ts';
import { mergePatch, parsePatch } from './patch.ts';
import { collectionOf } from './kinds.ts';
import { decodeBody, insertObject, storeUpdate, type Target, type Written } from './write.ts';

export type Applied = Written & { readonly isCreated: boolean };

export function applyObject(
  api: ApiContext,
  target: Target,
  request: { readonly body: string },
  options: WriteOptions,
): Applied {
  const { object, warnings } = decodeBody(target, parsePatch(request.body), options);
  const stored = api.storage.get(collectionOf(target.kind), target.namespace, target.name);
  if (stored === undefined) {
    return { object: insertObject(api, target, object, options), warnings, isCreated: true };
  }
  const merged = mergePatch(stored, object);
  const written = storeUpdate(api, target, { object: merged as typeof object, stored }, options);
  return { object: written, warnings, isCreated: false };
}
