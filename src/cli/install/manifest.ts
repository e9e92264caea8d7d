// A Kubernetes object as it is written down: JSON, with remarks that become YAML comments at the
// place that they are about. Labels that all objects of an installation carry are made here.
import { isMap, type Json, type JsonMap } from './json.ts';

/** A comment before the field or item that the path leads to. */
export type Remark = { readonly path: readonly (string | number)[]; readonly text: string };

export type Manifest = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: JsonMap & { readonly name: string };
  /** Those in the metadata that this house writes. */
  readonly labels: JsonMap;
  /** Everything below the top but metadata. */
  readonly body: JsonMap;
  readonly remarks: readonly Remark[];
};

export type Component = 'proxy' | 'controller' | 'crd' | 'admission' | 'monitoring' | 'mesh';

/** Who an installation is: these differ between the ways to install, the rest does not. */
export type Origin = {
  readonly namespace: string;
  /** Of the program or chart; `app.kubernetes.io/version`. */
  readonly version: string;
  /** `app.kubernetes.io/managed-by`. */
  readonly managedBy: string;
};

export function labelsOf(origin: Origin, component: Component): JsonMap {
  return {
    'app.kubernetes.io/name': 'weft',
    'app.kubernetes.io/component': component,
    'app.kubernetes.io/part-of': 'weft',
    'app.kubernetes.io/version': origin.version,
    'app.kubernetes.io/managed-by': origin.managedBy,
  };
}

/** What Services, budgets and affinities select pods by; it never changes. */
export function selectorOf(component: 'proxy' | 'controller'): JsonMap {
  return { 'app.kubernetes.io/name': 'weft', 'app.kubernetes.io/component': component };
}

export type Subject = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  /** Absent: cluster-scoped. */
  readonly namespace?: string;
};

/** An object with the labels of the house. */
export function manifest(
  origin: Origin,
  component: Component,
  { apiVersion, kind, name, namespace }: Subject,
  body: JsonMap,
): Manifest {
  const where = namespace === undefined ? {} : { namespace };
  const labels = labelsOf(origin, component);
  return { apiVersion, kind, metadata: { name, ...where, labels }, labels, body, remarks: [] };
}

/** The object as it is sent to an API server. */
export function objectOf({ apiVersion, kind, metadata, body }: Manifest): JsonMap {
  return { apiVersion, kind, metadata, ...body };
}

/** The same manifest with comments; those that it has already stay. */
export function remarked(one: Manifest, remarks: readonly Remark[]): Manifest {
  return { ...one, remarks: [...one.remarks, ...remarks] };
}

export function environmentEntry(name: string, value: Json): JsonMap {
  return { name, value };
}

/** An entry that the kubelet fills from a field of the pod. */
export function downwardEntry(name: string, fieldPath: string): JsonMap {
  return { name, valueFrom: { fieldRef: { fieldPath } } };
}

/** Name of the field that stands for all fields of a map which only the renderer knows. */
const spread = '...';

/** The fields of a map, or – when it is no map but an expression – one that stands for them. */
export function withFields(own: JsonMap, more: Json): JsonMap {
  return isMap(more) ? { ...more, ...own } : { ...own, [spread]: more };
}
