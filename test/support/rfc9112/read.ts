// The second, slow, obvious HTTP/1.1 parser: whole streams of requests (RFC 9112 3) or responses
// (RFC 9112 4), read by the grammar. Where the codec knowingly differs it notes so (notes.ts).
import { readBody, saidFraming } from './body.ts';
import { httpVersion, reasonPhrase, token, whole } from './grammar.ts';
import type { Notes } from './notes.ts';
import {
  isPersistent,
  membersOf,
  readFields,
  readNumber,
  reject,
  Rejected,
  valuesOf,
} from './stream.ts';
import type { RfcEnd, RfcField, RfcFraming, RfcMessage, RfcStream } from './stream.ts';
import { hostnameOf, readTarget } from './target.ts';

export type RfcRequestBefore = { readonly method: string; readonly upgrade: string | undefined };

type Head = {
  readonly what: string;
  readonly target: string;
  readonly hostname: string;
  readonly framing: RfcFraming;
  readonly fields: readonly RfcField[];
  /** No message follows on this connection. */
  readonly isLast: boolean;
};

type Reader = {
  readonly kind: 'request' | 'response';
  readonly readHead: (lines: readonly string[], notes: Notes) => Head;
};

export function readRfcRequests(text: string): RfcStream {
  return readStream(text, { kind: 'request', readHead: readRequestHead });
}

/** All of them answer requests like this one. */
export function readRfcResponses(text: string, request: RfcRequestBefore): RfcStream {
  const readHead: Reader['readHead'] = (lines, notes) => readResponseHead(lines, request, notes);
  return readStream(text, { kind: 'response', readHead });
}

function readStream(text: string, reader: Reader): RfcStream {
  const messages: RfcMessage[] = [];
  let at = 0;
  for (;;) {
    const notes: Notes = new Set();
    const end = (kind: RfcEnd['kind'], body = '', why = ''): RfcStream => ({
      messages,
      end: { kind, notes, body, why },
    });
    try {
      if (reader.kind === 'request') at = skipEmptyLines(text, at, notes);
      if (at === text.length) return end('idle');
      const headEnd = text.indexOf('\r\n\r\n', at);
      if (headEnd < 0) return end(isNothing(text.slice(at), reader) ? 'idle' : 'partial-head');
      const head = reader.readHead(text.slice(at, headEnd).split('\r\n'), notes);
      const place = { text, start: headEnd + 4, kind: reader.kind };
      const body = readBody(head.framing, place, notes);
      if (!body.isWhole) return end('partial-body', body.body);
      const { what, target, hostname, fields, framing } = head;
      const { trailers } = body;
      messages.push({ what, target, hostname, fields, framing, body: body.body, trailers, notes });
      if (head.isLast) return end('closed');
      at = body.end;
    } catch (error) {
      if (!(error instanceof Rejected)) throw error;
      return end('reject', '', error.message);
    }
  }
}

/** Half an empty line in front of a request is nothing yet. */
function isNothing(rest: string, { kind }: Reader): boolean {
  return kind === 'request' && rest === '\r';
}

function skipEmptyLines(text: string, from: number, notes: Notes): number {
  let at = from;
  while (text.startsWith('\r\n', at)) at += 2;
  const isSecondBegun = at > from && text.slice(at) === '\r';
  if (at > from + 2 || isSecondBegun) notes.add('several empty lines before a request');
  return at;
}

/** RFC 9112 3: method SP request-target SP HTTP-version. */
const requestLine = whole(`(${token}) ([\\x21-\\x7e]+) (${httpVersion})`);

function readRequestHead([line = '', ...lines]: readonly string[], notes: Notes): Head {
  const [, method, rawTarget, version] = requestLine.exec(line) ?? [];
  if (method === undefined || rawTarget === undefined) reject('no request line');
  const minor = minorOf(version);
  const target = readTarget(method, rawTarget, notes);
  const fields = readFields(lines, 'request', notes);
  const hostname = hostnameOf(fields, { target, minor }, notes);
  const framing = saidFraming(fields, { kind: 'request', minor }, notes);
  const forwards = valuesOf(fields, 'max-forwards').at(-1);
  if (method === 'OPTIONS' && forwards !== undefined && !isSafeNumber(forwards)) {
    notes.add('Max-Forwards that is no number');
  }
  const isLast = !isPersistent(fields, minor);
  return { what: method, target: target.target, hostname, framing, fields, isLast };
}

function isSafeNumber(text: string): boolean {
  return (readNumber(text) ?? Infinity) <= Number.MAX_SAFE_INTEGER;
}

function minorOf(version: string | undefined): string {
  if (version?.startsWith('HTTP/1.') !== true) reject('HTTP version is not 1.x');
  return version.slice(-1);
}

/** RFC 9112 4: HTTP-version SP status-code SP [ reason-phrase ]. */
const statusLine = whole(`(${httpVersion}) ([0-9]{3})(?:( )${reasonPhrase})?`);

function readResponseHead(
  [line = '', ...lines]: readonly string[],
  request: RfcRequestBefore,
  notes: Notes,
): Head {
  const [, version, what, space] = statusLine.exec(line) ?? [];
  if (what === undefined) reject('no status line');
  if (space === undefined) notes.add('no space behind the status');
  const minor = minorOf(version);
  const status = Number(what);
  if (status < 100 || status > 599) notes.add('status outside 100 to 599');
  const fields = readFields(lines, 'response', notes);
  const isBodyless = request.method === 'HEAD' || hasNoBody(status);
  const said = saidOf(fields, { minor, isBodyless }, notes);
  const isInterim = status < 200;
  if (isInterim && hasContent(said)) notes.add('content in an interim response');
  const isRefused = status === 101 && !isOffered(fields, request, notes);
  if (isRefused) notes.add('switch that was not offered');
  const framing = framingOf(said, isBodyless);
  const isUnreliable = status === 204 && hasContent(said);
  if (isUnreliable) notes.add('end of the connection after 204 with content');
  const isOpen = isPersistent(fields, minor) && framing.kind !== 'until-close' && !isUnreliable;
  const isLast = status === 101 || (!isInterim && !isOpen);
  return { what, target: '', hostname: '', framing, fields, isLast };
}

/** RFC 9112 6.3 rule 1. */
function hasNoBody(status: number): boolean {
  return (status >= 100 && status < 200) || status === 204 || status === 304;
}

/** Nonsense in framing fields does not matter where no body can be; the codec refuses it still. */
function saidOf(
  fields: readonly RfcField[],
  { minor, isBodyless }: { readonly minor: string; readonly isBodyless: boolean },
  notes: Notes,
): RfcFraming {
  try {
    return saidFraming(fields, { kind: 'response', minor }, notes);
  } catch (error) {
    if (!isBodyless || !(error instanceof Rejected)) throw error;
    notes.add('bad framing fields where there is no body');
    return { kind: 'none' };
  }
}

function framingOf(said: RfcFraming, isBodyless: boolean): RfcFraming {
  if (isBodyless) return { kind: 'none' };
  return said.kind === 'none' ? { kind: 'until-close' } : said;
}

function hasContent(framing: RfcFraming): boolean {
  return framing.kind === 'length' ? framing.length > 0 : framing.kind !== 'none';
}

/** RFC 9110 15.2.2: the server names the protocol, and it is one that the client named. */
function isOffered(
  fields: readonly RfcField[],
  { upgrade }: RfcRequestBefore,
  notes: Notes,
): boolean {
  const offered = membersOf([upgrade ?? '']).map((one) => one.toLowerCase());
  const lines = valuesOf(fields, 'upgrade');
  const said = lines.slice(Math.max(0, lines.findIndex((line) => line !== '')));
  const [accepted = '', ...more] = membersOf(said);
  if (more.length > 0 || accepted === '') return false;
  if (said.length < lines.length) notes.add('empty Upgrade line in front of the protocol');
  return offered.includes(accepted.toLowerCase());
}
