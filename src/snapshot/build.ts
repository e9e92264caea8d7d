// Sections → snapshot. The order in which sections are given does not matter; what comes out is
// sorted by id and carries content hashes. A record of the previous snapshot is used again where
// nothing changed, so that its identity tells every reader (table compiler, diff) "the same".
import { assert } from '../lib/assert.ts';
import { contentHash } from '../lib/hash.ts';
import { byText, inOrder } from '../lib/order.ts';
import { canonicalText, sectionId } from './encode.ts';
import type { Section, SectionId, SectionRecord, Snapshot } from './sections.ts';

/** The snapshot of `sections`; `previous` only saves work, it never changes the value. */
export function buildSnapshot(sections: Iterable<Section>, previous?: Snapshot): Snapshot {
  const records = inOrder(recordsOf(sections, previous), byId);
  const byName = new Map<SectionId, SectionRecord>();
  for (const record of records) byName.set(record.id, record);
  assert(byName.size === records.length, 'two sections of one name');
  return snapshotOf(byName);
}

/** A snapshot of records that are sorted by id already. */
export function snapshotOf(records: ReadonlyMap<SectionId, SectionRecord>): Snapshot {
  let lines = '';
  for (const record of records.values()) lines += `${record.id} ${record.hash}\n`;
  return { version: contentHash(lines), sections: records };
}

/** Order of ids: by code unit, so that no locale takes part. */
export function byId(left: { readonly id: string }, right: { readonly id: string }): number {
  return byText(left.id, right.id);
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
  return { id, hash: contentHash(text), text, section };
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
