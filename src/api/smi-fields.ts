// What the SMI parsers share: bounded lists, references by kind and name, and who wrote an
// object in which version. The parsers go by the shape of an object, never by its apiVersion,
// because an object keeps the shape in which it was written whatever version it is read through.
import type { Draft } from './draft.ts';
import { asList, asObject, asText, describeValue, valueAt } from './json.ts';

/** Items of any list in an SMI object; our CRDs say the same number. */
const listItemsMax = 1000;
/** Characters of a pattern; our CRDs say the same number. */
export const patternLengthMax = 1024;
const nameLengthMax = 253;

/** The list at `path`; says so and returns `undefined` when it is none, or too long. */
export function readList(
  draft: Draft,
  path: string,
  value: unknown,
): readonly unknown[] | undefined {
  const list = asList(value);
  if (list === undefined) {
    draft.report('InvalidObject', `${path} is ${describeValue(value)}: write a list`);
    return undefined;
  }
  if (list.length > listItemsMax) {
    const count = `${path} has ${list.length} items`;
    draft.report('InvalidObject', `${count}, at most ${listItemsMax} are read: split the object`);
    return undefined;
  }
  return list;
}

/** A name: a string that is not empty and no longer than Kubernetes' names. */
export function readName(value: unknown): string | undefined {
  const text = asText(value);
  return text === undefined || text === '' || text.length > nameLengthMax ? undefined : text;
}

/** Names in a list; `undefined` and a problem when one of them is none. */
export function readNames(
  draft: Draft,
  path: string,
  value: unknown,
): readonly string[] | undefined {
  const list = readList(draft, path, value);
  if (list === undefined) return undefined;
  const names: string[] = [];
  for (const [index, item] of list.entries()) {
    const name = readName(item);
    if (name === undefined) {
      draft.report('InvalidObject', `${path}[${index}] is ${describeValue(item)}: write a name`);
      return undefined;
    }
    if (!names.includes(name)) names.push(name);
  }
  return names;
}

/**
 * Whether somebody wrote this object through v1alpha1 or v1alpha2. `managedFields` say so; where
 * they are missing, as in a manifest, the object's own version does – of a stored object that is
 * only the version that it happens to be read through.
 */
export function isWrittenInOldVersion(draft: Draft): boolean {
  const metadata = asObject(valueAt(draft.root, 'metadata'));
  const entries = asList(valueAt(metadata, 'managedFields')) ?? [];
  const writers = entries.length > 0 ? entries : [draft.root];
  return writers.some((writer) => {
    const version = valueAt(asObject(writer), 'apiVersion');
    return typeof version === 'string' && /\/v1alpha[12]$/.test(version);
  });
}
