// `Accept: …;as=Table`: rows with cells that the server worked out, which is what `kubectl get`
// shows.
import { objectAt, type Json, type JsonObject } from './json.ts';
import { ageColumn, nameColumn } from './columns.ts';
import type { Column, ResourceKind } from './kinds.ts';
import { viewOf } from './view.ts';

/** How much of its object a row carries besides the cells. */
export type RowContent = 'None' | 'Metadata' | 'Object';

/** `includeObject=`; kubectl asks for `Object` when it sorts or watches. */
export function rowContent(query: URLSearchParams): RowContent {
  const asked = query.get('includeObject');
  return asked === 'None' || asked === 'Object' ? asked : 'Metadata';
}

function columnsOf(kind: ResourceKind): readonly Column[] {
  const own = kind.columns.length > 0 ? kind.columns : [ageColumn];
  const isNamed = own.some((column) => column.name === 'Name');
  return isNamed ? own : [nameColumn, ...own];
}

function definitions(kind: ResourceKind): Json[] {
  return columnsOf(kind).map(({ name, type, format, description, priority }): JsonObject => ({
    name,
    type,
    format,
    description,
    priority,
  }));
}

function rowObject(kind: ResourceKind, stored: JsonObject, content: RowContent): Json {
  switch (content) {
    case 'None':
      return null;
    case 'Object':
      return viewOf(kind, stored);
    case 'Metadata':
      return {
        kind: 'PartialObjectMetadata',
        apiVersion: 'meta.k8s.io/v1',
        metadata: objectAt(stored, 'metadata'),
      };
  }
}

/** What a table shows, and when, since ages are cells. */
export type TableRequest = {
  readonly kind: ResourceKind;
  readonly objects: readonly JsonObject[];
  readonly content: RowContent;
  readonly nowMs: number;
  readonly metadata: JsonObject;
};

/** The table, one row per object, in their order. */
export function tableOf(request: TableRequest): JsonObject {
  const { kind, objects, content, nowMs, metadata } = request;
  const columns = columnsOf(kind);
  const rows: Json[] = objects.map((stored): JsonObject => {
    const cells: Json[] = columns.map((column) => column.cell(stored, nowMs));
    return { cells, object: rowObject(kind, stored, content) };
  });
  return {
    kind: 'Table',
    apiVersion: 'meta.k8s.io/v1',
    metadata,
    columnDefinitions: definitions(kind),
    rows,
  };
}
