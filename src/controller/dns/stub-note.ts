// Which entries of `stubDomains` are ours, as an annotation on ConfigMap kube-dns: JSON has no
// comments to mark them by. It goes when the last of them goes. Pure.
import type { StubNote } from '../../dns/index.ts';
import { textAt, valueAt } from '../raw-object.ts';

export const noteAnnotation = 'weft.dev/stub-domains';

/** `null` where nothing is to be remembered: the annotation goes. */
export function renderNote(note: StubNote | undefined): string | null {
  if (note === undefined) return null;
  const entries = Object.fromEntries(note.entries);
  return JSON.stringify(note.before === undefined ? { entries } : { entries, before: note.before });
}

/** An annotation that somebody bent says nothing. */
export function noteOf(text: string | undefined): StubNote | undefined {
  const value = parseOr(text);
  const entries = valueAt(value, 'entries');
  if (typeof entries !== 'object' || entries === null) return undefined;
  const pairs = Object.keys(entries).flatMap((zone) => {
    const address = textAt(entries, zone);
    return address === undefined ? [] : [[zone, address] as const];
  });
  const before = valueAt(value, 'before');
  const isSaid = typeof before === 'string' || before === null;
  return { entries: new Map(pairs), before: isSaid ? before : undefined };
}

function parseOr(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : (JSON.parse(text) as unknown);
  } catch {
    // Not ours, or not any more: as if it were not there.
    return undefined;
  }
}
