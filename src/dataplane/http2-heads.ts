// Heads between this proxy and a pod of HTTP/2. A request is what a pod of HTTP/1.1 would get,
// field by field, so that both see the same; an answer becomes the head that everything behind it
// knows. Both are kept with what they were made of: most clients repeat themselves, as do pods.
import { isGrpc } from './grpc.ts';
import { trimWhitespace } from './http1/bytes.ts';
import type { Fields } from './http1/fields.ts';
import { noBody } from './http1/framing.ts';
import type { ResponseFraming } from './http1/framing.ts';
import { isBodyless } from './http1/response-head.ts';
import type { HttpResponseHead } from './http1/response-head.ts';
import type { RequestHeadParts, RequestIds } from './http1/serialise.ts';
import { FieldLines, lineOf, trailersOf } from './http2-fields.ts';
import { fieldRule, lastPseudo } from './http2/field-rules.ts';
import type { DecodedField } from './http2/hpack-decoder.ts';
import type { HeaderField } from './http2/hpack-table.ts';

type Lines = readonly HeaderField[];
type Names = ReadonlySet<string>;

type AroundIds = {
  readonly before: Lines;
  readonly behind: Lines;
  readonly neverIndexed: Names | undefined;
};

type KnownRequest = AroundIds & {
  ids: RequestIds;
  lines: Lines;
};

/** About the connection (RFC 9113 section 8.2.2), or said in another way here. */
const notSent: ReadonlySet<string> = new Set([
  'connection',
  'host',
  'keep-alive',
  'transfer-encoding',
  'upgrade',
]);

export class RequestLines {
  readonly #known = new WeakMap<RequestHeadParts, KnownRequest>();

  /** The same object for the same parts and ids. */
  of(parts: RequestHeadParts, ids: RequestIds): Lines {
    const known = this.#known.get(parts);
    if (known === undefined) return this.#add(parts, ids);
    const { requestId, traceparent } = known.ids;
    if (requestId === ids.requestId && traceparent === ids.traceparent) return known.lines;
    known.ids = { requestId: ids.requestId, traceparent: ids.traceparent };
    known.lines = withIds(known, ids);
    return known.lines;
  }

  #add(parts: RequestHeadParts, { requestId, traceparent }: RequestIds): Lines {
    const { neverIndexed } = parts;
    const before = requestLines(parts.before, neverIndexed);
    const behind = fieldLines(parts.behind, neverIndexed);
    const ids = { requestId, traceparent };
    const around = { before, behind, neverIndexed };
    const lines = withIds(around, ids);
    this.#known.set(parts, { ...around, ids, lines });
    return lines;
  }
}

function withIds({ before, behind, neverIndexed }: AroundIds, ids: RequestIds): Lines {
  return [
    ...before,
    lineOf('x-request-id', ids.requestId, neverIndexed),
    lineOf('traceparent', ids.traceparent, neverIndexed),
    ...behind,
  ];
}

/** The text is ours (http1/serialise.ts): `METHOD target HTTP/1.1`, `host: …`, plain lines. */
function requestLines(text: string, neverIndexed: Names | undefined): Lines {
  const lineEnd = text.indexOf('\r\n');
  const [method = '', target = ''] = text.slice(0, lineEnd).split(' ');
  const rest = text.slice(lineEnd + 2);
  const host = /^host: (.*)$/im.exec(rest)?.[1] ?? '';
  return [
    { name: ':method', value: method },
    { name: ':scheme', value: 'http' },
    lineOf(':path', target, neverIndexed),
    lineOf(':authority', host.trimEnd(), neverIndexed),
    ...fieldLines(rest, neverIndexed),
  ];
}

function fieldLines(text: string, neverIndexed: Names | undefined): Lines {
  const lines: HeaderField[] = [];
  for (const line of text.split('\r\n')) {
    const colon = line.indexOf(':');
    if (colon <= 0) continue;
    const name = line.slice(0, colon).toLowerCase();
    if (notSent.has(name)) continue;
    lines.push(lineOf(name, trimWhitespace(line.slice(colon + 1)), neverIndexed));
  }
  return lines;
}

type KnownAnswer = {
  readonly head: HttpResponseHead;
  readonly isOfHead: boolean;
  readonly isWhole: boolean;
};

const noNames: ReadonlySet<string> = new Set<string>([]);
const chunked: ResponseFraming = { kind: 'chunked' };
const empty: ResponseFraming = { kind: 'length', length: 0 };

export class AnswerHeads {
  readonly #known = new WeakMap<readonly DecodedField[], KnownAnswer>();
  readonly #trailers = new WeakMap<readonly DecodedField[], Fields>();

  /** `isOfHead`: HEAD was asked. `isWhole`: the stream ends with this head. */
  of(fields: readonly DecodedField[], isOfHead: boolean, isWhole: boolean): HttpResponseHead {
    const known = this.#known.get(fields);
    if (known?.isOfHead === isOfHead && known.isWhole === isWhole) return known.head;
    const head = answerHead(fields, isOfHead, isWhole);
    this.#known.set(fields, { head, isOfHead, isWhole });
    return head;
  }

  /** Behind an answer; the same object for the same lines. */
  trailersOf(lines: readonly DecodedField[]): Fields {
    const known = this.#trailers.get(lines);
    if (known !== undefined) return known;
    const trailers = trailersOf(lines);
    this.#trailers.set(lines, trailers);
    return trailers;
  }
}

function answerHead(
  fields: readonly DecodedField[],
  isOfHead: boolean,
  isWhole: boolean,
): HttpResponseHead {
  const lines = new FieldLines();
  let status = 0;
  let contentLength: number | undefined;
  let bytes = 0;
  for (const { name, value, rule, isSensitive } of fields) {
    bytes += name.length + value.length + 4;
    if (rule === fieldRule.status) status = Number(value);
    if (rule === fieldRule.contentLength) contentLength = Number(value);
    if (rule === fieldRule.ordinary || rule > lastPseudo) {
      lines.add(name, value, isSensitive);
    }
  }
  const hasNone = isOfHead || isBodyless(status);
  const known = lines.fields();
  return {
    version: 11,
    status,
    statusText: '',
    fields: known,
    framing: hasNone ? noBody : framingOf(contentLength, isWhole),
    contentLength,
    isKeepAlive: true,
    nominated: noNames,
    upgrade: undefined,
    isGrpc: isGrpc(known),
    bytes,
    rendered: { text: undefined, isFlat: false },
  };
}

function framingOf(contentLength: number | undefined, isWhole: boolean): ResponseFraming {
  if (contentLength !== undefined) return { kind: 'length', length: contentLength };
  return isWhole ? empty : chunked;
}
