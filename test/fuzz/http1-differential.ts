// Compares what the codec reads with what the reference parser (test/support/rfc9112) reads from
// the same bytes. The codec may refuse more, for a reason of the named list; it may never read a
// message that the grammar does not have, or end one elsewhere.
import type { Fields } from '../../src/dataplane/http1/fields.ts';
import type { HttpRequestHead } from '../../src/dataplane/http1/request-head.ts';
import type { HttpResponseHead } from '../../src/dataplane/http1/response-head.ts';
import { isStrictness } from '../support/rfc9112/notes.ts';
import type { Note } from '../support/rfc9112/notes.ts';
import type { RfcEnd, RfcField, RfcMessage, RfcStream } from '../support/rfc9112/stream.ts';
import type { Seen, Stream, StreamEnd } from './http1-messages.ts';

type CodecHead = HttpRequestHead | HttpResponseHead;

export type Verdict = {
  /** Undefined: they agree, or the list says why not. */
  readonly fault: string | undefined;
  /** Why the codec refused what the reference reads, and what it read beyond the grammar. */
  readonly notes: readonly Note[];
};

export function compare(codec: Stream<CodecHead>, reference: RfcStream): Verdict {
  const notes: Note[] = [];
  const count = Math.min(codec.messages.length, reference.messages.length);
  for (let index = 0; index < count; index += 1) {
    const ours = codec.messages[index];
    const theirs = reference.messages[index];
    if (ours === undefined || theirs === undefined) continue;
    const fault = messageFault(ours, theirs);
    if (fault !== undefined) return { fault: `message ${index}: ${fault}`, notes };
    notes.push(...[...theirs.notes].filter((note) => !isStrictness(note)));
    // What the list says to refuse must not have been read: a list that explains too much is none.
    const unused = [...theirs.notes].find((note) => isStrictness(note) && !endsOnly.has(note));
    if (unused !== undefined) return { fault: `message ${index} was read: ${unused}`, notes };
  }
  if (codec.messages.length > count) return { fault: 'reads more than the grammar has', notes };
  const next = reference.messages[count];
  const why = [...(next ?? reference.end).notes].filter(isStrictness);
  if (next !== undefined) {
    if (codec.end.kind !== 'reject') return { fault: `ends ${codec.end.kind} too early`, notes };
    if (why.length === 0) return { fault: `refuses without a name: ${codec.end.detail}`, notes };
    return { fault: undefined, notes: [...notes, ...why] };
  }
  return { fault: endFault(codec.end, reference.end, why.length > 0), notes: [...notes, ...why] };
}

/** A message with this note is read; only the connection ends with it. */
const endsOnly: ReadonlySet<Note> = new Set(['end of the connection after 204 with content']);

function messageFault(ours: Seen<CodecHead>, theirs: RfcMessage): string | undefined {
  const { head } = ours;
  const isRequest = 'method' in head;
  const pairs: readonly (readonly [string, unknown, unknown])[] = [
    ['start', isRequest ? head.method : String(head.status), theirs.what],
    ['target', isRequest ? head.target : '', theirs.target],
    ['host', isRequest ? head.hostname : '', theirs.hostname],
    ['framing', JSON.stringify(head.framing), JSON.stringify(theirs.framing)],
    ['body', ours.body, theirs.body],
    ['fields', fieldText(head.fields), rfcFieldText(theirs.fields)],
    ['trailers', ours.trailers === undefined ? '' : fieldText(ours.trailers),
      rfcFieldText(theirs.trailers)],
  ];
  const wrong = pairs.find(([, ourValue, theirValue]) => ourValue !== theirValue);
  if (wrong === undefined) return undefined;
  const [what, ourValue, theirValue] = wrong;
  return `${what} is ${JSON.stringify(ourValue)}, not ${JSON.stringify(theirValue)}`;
}

function fieldText(fields: Fields): string {
  return [...fields].map(([name, value]) => `${name}:${value}\n`).join('');
}

function rfcFieldText(fields: readonly RfcField[]): string {
  return fields.map(({ name, value }) => `${name}:${value}\n`).join('');
}

/** The codec refuses at the first byte that cannot be; the reference waits for the line's end. */
function endFault(ours: StreamEnd, theirs: RfcEnd, isExplained: boolean): string | undefined {
  const fault = `ends ${ours.kind}, the reference ${theirs.kind} ${theirs.why}`;
  switch (theirs.kind) {
    case 'reject':
      return ours.kind === 'reject' ? undefined : fault;
    case 'partial-head':
      return ours.kind === 'partial-head' || ours.kind === 'reject' ? undefined : fault;
    case 'partial-body':
      if (ours.kind === 'reject') return undefined;
      if (ours.kind !== 'partial-body') return fault;
      return ours.body === theirs.body ? undefined : `${fault}, with another body`;
    case 'idle':
      return ours.kind === 'idle' || (ours.kind === 'reject' && isExplained) ? undefined : fault;
    case 'closed':
      return ours.kind === 'closed' || ours.kind === 'idle' ? undefined : fault;
  }
}
