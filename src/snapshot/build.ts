// Sections → snapshot. The order in which sections are given does not matter; what comes out is
// sorted by id and carries its version. A record of the previous snapshot is used again where
// nothing changed, so that its identity tells every reader (table compiler, diff) "the same".
import { assert } from '../lib/assert.ts';
import { byText } from '../lib/order.ts';
import { canonicalText, sectionId } from './encode.ts';
import type { Section, SectionId, SectionRecord, Snapshot } from './sections.ts';
import { hashedRuns, versionOf } from './version.ts';

/** The snapshot of `sections`; `previous` only saves work, it never changes the value. */
export function buildSnapshot(sections: Iterable<Section>, previous?: Snapshot): Snapshot {
  const records = inOrderOfIds(recordsOf(sections, previous));
  const byName = new Map<SectionId, SectionRecord>();
  for (const record of records) byName.set(record.id, record);
  assert(byName.size === records.length, 'two sections of one name');
  return snapshotOf(byName, previous);
}

/** A snapshot of records that are sorted by id already; `previous` only saves work. */
export function snapshotOf(
  records: ReadonlyMap<SectionId, SectionRecord>,
  previous: Snapshot | undefined,
): Snapshot {
  const runs = hashedRuns(records.values(), previous?.runs);
  return { version: versionOf(runs), sections: records, runs };
}

/** Order of ids: by code unit, so that no locale takes part. */
export function byId(left: { readonly id: string }, right: { readonly id: string }): number {
  return byText(left.id, right.id);
}

/** `records` itself where it is in order, as it mostly is: then nothing is called or copied. */
function inOrderOfIds(records: readonly SectionRecord[]): readonly SectionRecord[] {
  let before = '';
  for (const { id } of records) {
    if (before > id) return [...records].sort(byId);
    before = id;
  }
  return records;
}

/**
 * A record for each section. Sections mostly come in the order of their ids, as records stand in a
 * snapshot: the next record is the one that is looked for, and no id has to be spelled to find it.
 */
function recordsOf(sections: Iterable<Section>, previous: Snapshot | undefined): SectionRecord[] {
  const known = [...(previous?.sections.values() ?? [])];
  const records: SectionRecord[] = [];
  let next = 0;
  for (const section of sections) {
    let guess = known[next];
    if (guess === undefined || !hasSameParts(guess.section, section)) {
      guess = recordOf(section, previous);
      while ((known[next]?.id ?? guess.id) < guess.id) next += 1;
    }
    if (known[next]?.id === guess.id) next += 1;
    records.push(guess);
  }
  return records;
}

function recordOf(section: Section, previous: Snapshot | undefined): SectionRecord {
  const id = sectionId(section);
  const before = previous?.sections.get(id);
  if (before !== undefined && hasSameParts(before.section, section)) return before;
  const text = canonicalText(section);
  if (before?.text === text) return before;
  return { id, text, section };
}

/** Same kind, and every field the same value or the same object: no need to encode it. */
function hasSameParts(left: Section, right: Section): boolean {
  if (left === right) return true;
  if (left.kind !== right.kind) return false;
  const [parts, others]: readonly Readonly<Record<string, unknown>>[] = [left, right];
  // `for … in` and not a loop over entries: with 40 000 sections the arrays would be garbage.
  for (const key in parts) if (parts[key] !== others?.[key]) return false;
  return true;
}
