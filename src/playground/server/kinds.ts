// What the server knows about a kind, built in or from a CustomResourceDefinition, and the registry
// that finds it by path. Versions of one kind share a collection: conversion strategy None, so only
// `apiVersion` differs between them.
import type { JsonObject } from './json.ts';
import type { Cause, Subject } from './status.ts';

/** A printer column, as `additionalPrinterColumns` writes one. */
export type Column = {
  readonly name: string;
  readonly type: string;
  readonly description: string;
  readonly format: string;
  /** 0 is always shown, 1 only with `-o wide`. */
  readonly priority: number;
  /** What a cell shows; takes the time, because ages are computed here. */
  readonly cell: (object: JsonObject, nowMs: number) => string | number | boolean | null;
};

/** A kind in one version, as it is served. */
export type ResourceKind = {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly isNamespaced: boolean;
  /** Part of `status`, `scale`, `approval`, `finalize`. */
  readonly subresources: readonly string[];
  /** Structural schema; `undefined` for kinds of which only metadata is understood. */
  readonly schema: JsonObject | undefined;
  readonly columns: readonly Column[];
  /** Fields besides name and namespace that a field selector may name. */
  readonly selectableFields: readonly string[];
  readonly hasGeneration: boolean;
  /** A PUT must name the resourceVersion that it replaces. */
  readonly needsVersion: boolean;
  /** From a CRD: pruned and validated by its schema. */
  readonly isCustom: boolean;
  /** A deletion answers with the object instead of a Status. */
  readonly answersDeleted: boolean;
};

/** Rules of one built-in kind that a schema cannot say. All work on a copy that they may change. */
export type KindRules = {
  /** Fills in what the server decides on creation (addresses, defaults, stamps). */
  readonly prepareCreate?: (object: JsonObject, context: WriteContext) => void;
  readonly prepareUpdate?: (
    object: JsonObject,
    previous: JsonObject,
    context: WriteContext,
  ) => void;
  readonly validate?: (
    object: JsonObject,
    previous: JsonObject | undefined,
    /** Empty, or the subresource that is written. */
    subresource: string,
  ) => readonly Cause[];
};

/** Who asks, as a token or certificate says. */
export type User = {
  readonly username: string;
  readonly uid: string;
  readonly groups: readonly string[];
  readonly extra: Readonly<Record<string, readonly string[]>>;
};

/** What the rules of a kind know of a write: who, when, to which part. */
export type WriteContext = {
  readonly user: User;
  readonly nowMs: number;
  /** Empty, or the subresource that is written. */
  readonly subresource: string;
  readonly isDryRun: boolean;
};

/** Where objects of a kind are kept; the two spellings of events are one collection. */
export function collectionOf(kind: Pick<ResourceKind, 'group' | 'plural'>): string {
  if (kind.group === 'events.k8s.io') return `/${kind.plural}`;
  return `${kind.group}/${kind.plural}`;
}

/** `group/version`, or just the version for the core group. */
export function apiVersionOf(kind: Pick<ResourceKind, 'group' | 'version'>): string {
  return kind.group === '' ? kind.version : `${kind.group}/${kind.version}`;
}

/** What a refusal says that it is about. */
export function subjectOf(kind: ResourceKind, name: string): Subject {
  return { group: kind.group, plural: kind.plural, name };
}

/** All kinds that are served now. Custom kinds come and go with their definitions. */
export class Registry {
  readonly #kinds = new Map<string, ResourceKind>();

  constructor(kinds: readonly ResourceKind[]) {
    for (const kind of kinds) this.add(kind);
  }

  add(kind: ResourceKind): void {
    this.#kinds.set(`${apiVersionOf(kind)}/${kind.plural}`, kind);
  }

  removeCollection(collection: string): void {
    for (const [key, kind] of [...this.#kinds]) {
      if (kind.isCustom && collectionOf(kind) === collection) this.#kinds.delete(key);
    }
  }

  find(group: string, version: string, plural: string): ResourceKind | undefined {
    return this.#kinds.get(`${apiVersionOf({ group, version })}/${plural}`);
  }

  all(): readonly ResourceKind[] {
    return [...this.#kinds.values()];
  }

  ofGroupVersion(group: string, version: string): readonly ResourceKind[] {
    return this.all().filter((kind) => kind.group === group && kind.version === version);
  }

  /** Group → versions in order of preference (as they were added; `v1` first). */
  groups(): ReadonlyMap<string, readonly string[]> {
    const found = new Map<string, string[]>();
    for (const kind of this.all()) {
      const versions = found.get(kind.group) ?? [];
      if (!versions.includes(kind.version)) versions.push(kind.version);
      found.set(kind.group, versions);
    }
    for (const versions of found.values()) versions.sort(byPreference);
    return found;
  }
}

const versionShape = /^v(\d+)(?:(alpha|beta)(\d+))?$/;

/** Kubernetes' order of versions: v2, v1, v1beta2, v1beta1, v1alpha1, others by name. */
export function byPreference(left: string, right: string): number {
  return rank(right) - rank(left) || left.localeCompare(right);
}

function rank(version: string): number {
  const parts = versionShape.exec(version);
  if (parts === null) return 0;
  const stage = parts[2] === undefined ? 3 : parts[2] === 'beta' ? 2 : 1;
  return stage * 1_000_000 + Number(parts[1]) * 1000 + Number(parts[3] ?? 0);
}
