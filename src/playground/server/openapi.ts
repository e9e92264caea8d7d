// OpenAPI v3, as far as kubectl reads it: an index of documents, and per group and version one with
// the schemas (`explain`) and, for each kind, the operations that tell that `fieldValidation` is
// understood (`apply`, `create`) and which kind they are for. OpenAPI v2 is a document without
// definitions: kubectl asks for it when it meets a `kind: List`, checks only the kinds that it
// finds there, and sends the items one by one with `fieldValidation=Strict`, so that the server
// judges.
import { contentHash } from '../../lib/hash.ts';
import type { Json, JsonObject } from './json.ts';
import { apiVersionOf, type Registry, type ResourceKind } from './kinds.ts';
import { rootShape } from './shape.ts';

function documentPath(group: string, version: string): string {
  return group === '' ? `api/${version}` : `apis/${group}/${version}`;
}

const title = 'weft playground';

/** `/openapi/v2` as JSON. */
export function openapiV2(): JsonObject {
  return { swagger: '2.0', info: { title, version: 'v1' }, paths: {}, definitions: {} };
}

/** The media type of the protobuf form: what kubectl asks for, and how the answer is called. */
export const openapiV2Types = {
  asked: 'application/com.github.proto-openapi.spec.v2@v1.0+protobuf',
  answered: 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf',
};

/** `/openapi/v2` as gnostic's Document: field 1 is `swagger`, field 2 is `info`. */
export function openapiV2Protobuf(): Buffer {
  const info = Buffer.concat([protobufField(1, title), protobufField(2, 'v1')]);
  return Buffer.concat([protobufField(1, '2.0'), protobufField(2, info)]);
}

/** A length-delimited field; content shorter than 128 bytes has a length of one byte. */
function protobufField(id: number, content: string | Buffer): Buffer {
  const bytes = Buffer.from(content);
  return Buffer.concat([Buffer.from([id * 8 + 2, bytes.length]), bytes]);
}

/** `/openapi/v3` */
export function openapiIndex(registry: Registry): JsonObject {
  const paths: JsonObject = {};
  for (const [group, versions] of registry.groups()) {
    for (const version of versions) {
      const path = documentPath(group, version);
      const names = registry
        .ofGroupVersion(group, version)
        .map((kind) => JSON.stringify(rootShape(kind)));
      const hash = contentHash(names.join(' '));
      paths[path] = { serverRelativeURL: `/openapi/v3/${path}?hash=${hash}` };
    }
  }
  return { paths };
}

/** `/openapi/v3/<path>`; `undefined` when nothing is served there. */
export function openapiDocument(registry: Registry, path: string): JsonObject | undefined {
  const [root, first = '', second = ''] = path.split('/');
  const isCore = root === 'api';
  const kinds = isCore
    ? registry.ofGroupVersion('', first)
    : registry.ofGroupVersion(first, second);
  if (kinds.length === 0) return undefined;
  const schemas: JsonObject = {};
  const paths: JsonObject = {};
  for (const kind of kinds) {
    schemas[schemaName(kind)] = {
      ...rootShape(kind),
      'x-kubernetes-group-version-kind': [kindName(kind)],
    };
    Object.assign(paths, pathsOf(kind));
  }
  return {
    openapi: '3.0.0',
    info: { title, version: 'v1' },
    paths,
    components: { schemas },
  };
}

/** `com.example.v1.Thing`: the group reversed, as Kubernetes names its definitions. */
function schemaName(kind: ResourceKind): string {
  const group = kind.group === '' ? 'core' : kind.group.split('.').reverse().join('.');
  return `${group}.${kind.version}.${kind.kind}`;
}

function kindName(kind: ResourceKind): JsonObject {
  return { group: kind.group, version: kind.version, kind: kind.kind };
}

const writeParameters: Json[] = ['dryRun', 'fieldManager', 'fieldValidation'].map(
  (name): JsonObject => ({
    name,
    in: 'query',
    schema: { type: 'string', uniqueItems: true },
  }),
);

function operation(kind: ResourceKind, action: string, isWrite: boolean): JsonObject {
  const reply = { $ref: `#/components/schemas/${schemaName(kind)}` };
  const made: JsonObject = {
    operationId: `${action}${kind.kind}`,
    responses: { '200': { description: 'OK', content: { 'application/json': { schema: reply } } } },
    'x-kubernetes-action': action,
    'x-kubernetes-group-version-kind': kindName(kind),
  };
  if (isWrite) made.parameters = writeParameters;
  return made;
}

/** What a PATCH may be. No strategic merge here: kubectl then takes the Go types that it knows. */
const patchTypes = [
  'application/apply-patch+yaml',
  'application/json-patch+json',
  'application/merge-patch+json',
];

function patchOperation(kind: ResourceKind): JsonObject {
  const content = Object.fromEntries(
    patchTypes.map((type): [string, Json] => [type, { schema: { type: 'object' } }]),
  );
  return { ...operation(kind, 'patch', true), requestBody: { required: true, content } };
}

function pathsOf(kind: ResourceKind): JsonObject {
  const root = kind.group === '' ? '/api/v1' : `/apis/${apiVersionOf(kind)}`;
  const scope = kind.isNamespaced ? '/namespaces/{namespace}' : '';
  const collection = `${root}${scope}/${kind.plural}`;
  return {
    [collection]: {
      get: operation(kind, 'list', false),
      post: operation(kind, 'post', true),
    },
    [`${collection}/{name}`]: {
      get: operation(kind, 'get', false),
      put: operation(kind, 'put', true),
      patch: patchOperation(kind),
      delete: operation(kind, 'delete', false),
    },
  };
}
