// The version of a snapshot: a hash over the texts of all its sections in the order of their ids.
// It is made in two steps, so that a change costs the hash of its neighbourhood: sections are
// hashed in runs, and the version is the hash of the runs' hashes. Where a run begins depends on
// the ids alone, never on how many sections stand before it, so one that comes or goes moves one
// border at most (content-defined chunking, as in rsync). A hash per section takes three times as
// long.
import { contentHash } from '../lib/hash.ts';
import type { HashedRun, SectionId, SectionRecord } from './sections.ts';

export type HashedRuns = ReadonlyMap<SectionId, HashedRun>;

/** The runs of `records` by their first ids; `previous` saves work and never changes the value. */
export function hashedRuns(
  records: Iterable<SectionRecord>,
  previous: HashedRuns | undefined,
): HashedRuns {
  const runs = new Map<SectionId, HashedRun>();
  let run: SectionRecord[] = [];
  for (const record of records) {
    if (run.length > 0 && beginsRun(record.id)) {
      addRun(runs, run, previous);
      run = [];
    }
    run.push(record);
  }
  addRun(runs, run, previous);
  return runs;
}

/** One version for the same texts under the same ids, whatever they were before. */
export function versionOf(runs: HashedRuns): string {
  let lines = '';
  for (const { hash } of runs.values()) lines += `${hash}\n`;
  return contentHash(lines);
}

function addRun(
  runs: Map<SectionId, HashedRun>,
  records: readonly SectionRecord[],
  previous: HashedRuns | undefined,
): void {
  const [first] = records;
  if (first === undefined) return;
  const before = previous?.get(first.id);
  runs.set(first.id, before !== undefined && isSame(before, records) ? before : hashed(records));
}

function isSame(before: HashedRun, records: readonly SectionRecord[]): boolean {
  return (
    before.records.length === records.length &&
    before.records.every((record, index) => record === records[index])
  );
}

/** No id and no text holds a line break, so the lines say what is whose. */
function hashed(records: readonly SectionRecord[]): HashedRun {
  const lines: string[] = [];
  for (const { id, text } of records) lines.push(id, text);
  return { records, hash: contentHash(lines.join('\n')) };
}

/** One id in 32, by the last of its characters (FNV-1a). */
function beginsRun(id: SectionId): boolean {
  let sum = 0x81_1c_9d_c5;
  for (let at = Math.max(0, id.length - 8); at < id.length; at += 1) {
    sum = Math.imul(sum ^ id.charCodeAt(at), 0x01_00_01_93);
  }
  return sum >>> 27 === 0;
}
