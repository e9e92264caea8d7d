// The strict incremental parser of HTTP/1.1 response heads from upstream (RFC 9112 section 4; RFC
// 9110 section 15). Same way of working as request-head.ts: consumed bytes are kept, a head makes
// the parser ready for the next one (interim responses), a reject is final.
import { CarriedBytes, incomplete, refused, tooLarge } from './carried-bytes.ts';
import { gatherFacts } from './field-facts.ts';
import type { FieldFacts } from './field-facts.ts';
import { isGrpc } from '../grpc.ts';
import type { Fields } from './fields.ts';
import { hasContent, noBody, parseFraming, untilClose } from './framing.ts';
import type { RequestFraming, ResponseFraming } from './framing.ts';
import { HeadMemo } from './head-memo.ts';
import type { HeadLimits } from './limits.ts';
import { rejectFraming, rejectHeadTooLarge, rejectSyntax } from './reject.ts';
import type { Reject } from './reject.ts';
import { ResponseScanner } from './response-scanner.ts';
import { isOffered } from './upgrade.ts';

export type HttpResponseHead = {
  readonly version: 10 | 11;
  /** 100 to 599; 101 only when the request asked for the protocol that is named. */
  readonly status: number;
  readonly statusText: string;
  readonly fields: Fields;
  /** `none` for HEAD, 1xx, 204 and 304, whatever the fields say. */
  readonly framing: ResponseFraming;
  /** Content-Length as sent, also where there is no body (HEAD, 304). */
  readonly contentLength: number | undefined;
  /** The upstream connection may be used again once this response is complete. */
  readonly isKeepAlive: boolean;
  /** Names that Connection nominates, lower case. */
  readonly nominated: ReadonlySet<string>;
  /** Protocol switched to, as sent; only with 101. */
  readonly upgrade: string | undefined;
  /** Content of gRPC: how the call went is said by its status, in trailers or here. */
  readonly isGrpc: boolean;
  readonly bytes: number;
  /** A memo of what most clients get, which changes no answer: the text, the lines of HTTP/2. */
  readonly rendered: RenderedHead;
};

export type RenderedHead = {
  text: string | undefined;
  isFlat: boolean;
  lines?: readonly { readonly name: string; readonly value: string }[];
};

export type ResponseHeadResult =
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'head'; readonly head: HttpResponseHead; readonly end: number }
  | Reject;

/** What the rules for a response need to know of its request. */
export type AnsweredRequest = { readonly method: string; readonly upgrade: string | undefined };

export class ResponseHeadParser {
  readonly #limits: HeadLimits;
  readonly #carried: CarriedBytes;
  readonly #scanner: ResponseScanner;
  /** Final answers only; what a head means depends on whether HEAD was asked. */
  readonly #memo = new HeadMemo<HttpResponseHead>();
  #isMemoOfHead = false;

  constructor(limits: HeadLimits) {
    this.#limits = limits;
    this.#carried = new CarriedBytes(limits.headBytesMax);
    this.#scanner = new ResponseScanner(limits);
  }

  /** Some bytes of a head have been consumed: a close now is a truncated response. */
  get hasPartialHead(): boolean {
    return this.#scanner.hasBegun;
  }

  /** `request`: the oldest one on this connection that has no final response yet. */
  parse(
    buffer: Buffer,
    start: number,
    end: number,
    request: AnsweredRequest,
  ): ResponseHeadResult {
    const carriedBytes = this.#carried.length;
    const isOfHead = request.method === 'HEAD';
    if (carriedBytes === 0 && this.#isMemoOfHead === isOfHead) {
      const known = this.#memo.find(buffer, start, end);
      if (known !== undefined) return { kind: 'head', head: known, end: start + known.bytes };
    }
    const next = this.#carried.feed(this.#scanner, buffer, start, end);
    if (next === incomplete) return incompleteHead;
    const scanner = this.#scanner;
    if (next === tooLarge) {
      return rejectHeadTooLarge(`head of more than ${this.#limits.headBytesMax} bytes`);
    }
    if (next === refused) return scanner.reject ?? rejectSyntax('malformed head');
    scanner.reset();
    const built = buildHead(scanner, request, carriedBytes + next - start);
    scanner.forget();
    if (built.kind === 'reject') return built;
    // Interim heads depend on more of the request; one that came in pieces is not in this buffer.
    if (carriedBytes === 0 && built.head.status >= 200) {
      this.#memo.keep(buffer, start, next, built.head);
      this.#isMemoOfHead = isOfHead;
    }
    return { kind: 'head', head: built.head, end: next };
  }
}

type BuiltHead = { readonly kind: 'built'; readonly head: HttpResponseHead };

const incompleteHead: ResponseHeadResult = { kind: 'incomplete' };

function buildHead(
  scanner: ResponseScanner,
  request: AnsweredRequest,
  bytes: number,
): BuiltHead | Reject {
  const { fields, version, status } = scanner;
  const facts = gatherFacts(fields);
  const said = parseFraming(facts, version);
  if (said.kind === 'reject') return said;
  const fault = statusFault(status, said, facts, request);
  if (fault !== undefined) return fault;
  const framing = framingOf(status, said, request.method);
  const head: HttpResponseHead = {
    version,
    status,
    statusText: scanner.statusText,
    fields,
    framing,
    contentLength: said.kind === 'length' ? said.length : undefined,
    isKeepAlive: isReusable(status, said, framing) && saysKeepAlive(facts, version),
    nominated: facts.nominated,
    upgrade: status === 101 ? facts.upgrade : undefined,
    isGrpc: isGrpc(fields),
    bytes,
    rendered: { text: undefined, isFlat: false },
  };
  return { kind: 'built', head };
}

/** What a status code forbids. */
function statusFault(
  status: number,
  said: RequestFraming,
  facts: FieldFacts,
  request: AnsweredRequest,
): Reject | undefined {
  if (status >= 200) return undefined;
  // An interim response has no content; one that says so would make its body the next response.
  if (hasContent(said)) return rejectFraming('content in an interim response');
  if (status !== 101) return undefined;
  // RFC 9110 section 15.2.2. Forwarding it unasked would open a raw tunnel through the mesh.
  const isAskedFor = request.upgrade !== undefined && isOffered(request.upgrade, facts.upgrade);
  return isAskedFor ? undefined : rejectSyntax('switch to a protocol that was not offered');
}

/** RFC 9112 section 6.3: some responses have no body, whatever their fields say. */
function framingOf(status: number, said: RequestFraming, method: string): ResponseFraming {
  if (method === 'HEAD' || isBodyless(status)) return noBody;
  return said.kind === 'none' ? untilClose : said;
}

/** 1xx, 204 and 304. */
export function isBodyless(status: number): boolean {
  return status < 200 || status === 204 || status === 304;
}

/** A 204 that announces content may well send it: nobody shall take that for the next response. */
function isReusable(status: number, said: RequestFraming, framing: ResponseFraming): boolean {
  if (framing.kind === 'until-close' || status === 101) return false;
  return status !== 204 || !hasContent(said);
}

function saysKeepAlive(facts: FieldFacts, version: 10 | 11): boolean {
  return !facts.closes && (version === 11 || facts.keepsAlive);
}
