// Programs that these tests run – kubectl, helm, h2spec – from KUBEBUILDER_ASSETS or PATH. A
// missing one is a failure that says what to do, never a skip.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { parseAllDocuments } from 'yaml';

export type Ran = { readonly status: number; readonly out: string; readonly error: string };

type Program = 'h2spec' | 'helm' | 'kubectl';

/** Path of a program; throws one line that says where it is looked for. */
export function programPath(name: Program): string {
  const assets = process.env['KUBEBUILDER_ASSETS'] ?? '';
  const folders = [assets, ...(process.env['PATH'] ?? '').split(delimiter)];
  const found = folders
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, name))
    .find((path) => existsSync(path));
  if (found !== undefined) return found;
  const where = `neither in KUBEBUILDER_ASSETS (${assets}) nor on PATH`;
  throw new Error(`test:kube needs ${name} and finds it ${where}: install it there`);
}

/** Runs it with a deadline; the caller judges the status. */
export function run(
  name: Program,
  args: readonly string[],
  input = '',
): Ran {
  const options = { input, encoding: 'utf8', timeout: 60_000, maxBuffer: 64 << 20 } as const;
  const { status, stdout, stderr, error } = spawnSync(programPath(name), args, options);
  if (error !== undefined) throw error;
  return { status: status ?? -1, out: stdout, error: stderr };
}

/** Output of a run that has to succeed. */
export function output(
  name: Program,
  args: readonly string[],
  input = '',
): string {
  const ran = run(name, args, input);
  if (ran.status !== 0) throw new Error(`${name} ${args.join(' ')}: ${ran.error}`);
  return ran.out;
}

export type KubeObject = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
};

/** Objects of a stream of YAML documents, as kubectl reads it (YAML 1.1). */
export function objectsOf(yaml: string): readonly KubeObject[] {
  return parseAllDocuments(yaml, { version: '1.1' })
    .map((document) => document.toJS() as KubeObject | null) // our own manifests
    .filter((object) => object !== null);
}

/**
 * Objects by what they are, without what says how they were installed: the four ways differ in
 * `managed-by` and in Helm's own annotation, and in nothing else.
 */
export function byIdentity(objects: readonly KubeObject[]): ReadonlyMap<string, unknown> {
  const key = ({ kind, metadata }: KubeObject): string =>
    `${kind} ${metadata.namespace ?? ''}/${metadata.name}`;
  const sorted = [...objects].sort((left, right) => (key(left) < key(right) ? -1 : 1));
  return new Map(sorted.map((object) => [key(object), neutral(object)]));
}

function neutral(object: KubeObject): unknown {
  const { metadata } = object;
  const without = (map: Readonly<Record<string, string>> | undefined, name: string) =>
    Object.fromEntries(Object.entries(map ?? {}).filter(([one]) => one !== name));
  return {
    ...object,
    metadata: {
      ...metadata,
      labels: without(metadata.labels, 'app.kubernetes.io/managed-by'),
      annotations: without(metadata.annotations, 'helm.sh/resource-policy'),
    },
  };
}
