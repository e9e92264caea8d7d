// OpenAPI v3 documents, as far as kubectl reads them.
import type { JsonObject } from './json.ts';
import type { Registry } from './kinds.ts';

export function openapiIndex(_registry: Registry): JsonObject {
  return { paths: {} };
}

export function openapiDocument(_registry: Registry, _path: string): JsonObject | undefined {
  return undefined;
}
