// The strict incremental parser of HTTP/1.1 request heads (RFC 9112 sections 3, 5, 6; RFC 9110
// sections 5, 7). It holds no socket and no timer: bytes in, a head or a reject out.
//
// The parser keeps what it has consumed: after `incomplete` the given range may be overwritten, and
// the next call continues with the bytes that follow it. One parser serves one connection; after a
// head it is ready for the next one, after a reject it must not be used again.
// Invariant: the outcome does not depend on where the bytes were cut.
import { assert } from '../../lib/assert.ts';
import type { RequestHead } from '../../route/index.ts';
import { parseAuthority } from './authority.ts';
import type { Authority } from './authority.ts';
import { trimWhitespace } from './bytes.ts';
import { CarriedBytes, incomplete, refused, tooLarge } from './carried-bytes.ts';
import { gatherFacts } from './field-facts.ts';
import type { FieldFacts } from './field-facts.ts';
import type { Fields } from './fields.ts';
import { hasContent, parseContentLength, parseFraming } from './framing.ts';
import type { RequestFraming } from './framing.ts';
import { HeadMemo } from './head-memo.ts';
import type { HeadLimits } from './limits.ts';
import { rejectHeadTooLarge, rejectHost, rejectSyntax } from './reject.ts';
import type { Reject } from './reject.ts';
import { RequestScanner } from './request-scanner.ts';
import type { RequestIds } from './serialise.ts';
import type { RequestTarget } from './target.ts';
import { offeredProtocols } from './upgrade.ts';

/** A request head, as it will be matched and forwarded. */
export type HttpRequestHead = RequestHead & {
  /** 20: decoded from the fields of HTTP/2, where the same rules hold (http2-request.ts). */
  readonly version: 10 | 11 | 20;
  /** What is forwarded: origin-form or `*`; an absolute-form target has lost its authority. */
  readonly target: string;
  /** What follows the first `?` of the target. */
  readonly query: string | undefined;
  /** Host as sent (or the authority of an absolute-form target, which replaces Host). */
  readonly authority: string;
  readonly fields: Fields;
  readonly framing: RequestFraming;
  /** What the client wants after the response (RFC 9112 section 9.3). */
  readonly isKeepAlive: boolean;
  /** The client waits for a 100 before it sends the (non-empty) body. */
  readonly expectsContinue: boolean;
  /** Protocols that the client offers to switch to, as sent, without h2c; only in HTTP/1.1. */
  readonly upgrade: string | undefined;
  /** Names that Connection nominates, lower case: hop-by-hop, never forwarded. */
  readonly nominated: ReadonlySet<string>;
  /** The path holds %2f or %5c: one segment or two, depending on who reads it. */
  readonly hasEncodedSlash: boolean;
  /** Max-Forwards of an OPTIONS request; 0 must be answered here (RFC 9110 section 7.6.2). */
  readonly maxForwards: number | undefined;
  /** Bytes of the head; what is left of `headBytesMax` is left for trailers. */
  readonly bytes: number;
};

export type RequestHeadResult =
  /** All given bytes were consumed and kept. */
  | { readonly kind: 'incomplete' }
  /** `end`: index in the given buffer of the first byte behind the head. */
  | RequestHeadFound
  | Reject;

export type RequestHeadFound = {
  readonly kind: 'head';
  readonly head: HttpRequestHead;
  readonly end: number;
  /** Of this request, where the head is a known one but for them. */
  readonly ids?: RequestIds | undefined;
};

/** Heads that are known to more than one connection. */
export type KnownHeads = {
  /** The head that `buffer[start, end)` begins with, if it is one of them. */
  readonly find: (buffer: Buffer, start: number, end: number) => RequestHeadFound | undefined;
  /** `head` was parsed from exactly these bytes. */
  readonly keep: (buffer: Buffer, start: number, end: number, head: HttpRequestHead) => void;
};

export type RequestHeadOptions = {
  readonly limits: HeadLimits;
  /** Port of the user's Service that the listener stands for. */
  readonly servicePort: number;
  /** Instead of a memo of its own. */
  readonly known?: KnownHeads | undefined;
};

export class RequestHeadParser {
  readonly #limits: HeadLimits;
  readonly #servicePort: number;
  readonly #carried: CarriedBytes;
  readonly #scanner: RequestScanner;
  readonly #memo = new HeadMemo<HttpRequestHead>();
  readonly #known: KnownHeads | undefined;
  /** The last Host and what it is: most clients ask for one host only. */
  #host = '';
  #hostAuthority: Authority | undefined;

  constructor(options: RequestHeadOptions) {
    this.#limits = options.limits;
    this.#servicePort = options.servicePort;
    this.#carried = new CarriedBytes(options.limits.headBytesMax);
    this.#scanner = new RequestScanner(options.limits);
    this.#known = options.known;
  }

  /** A head has begun and is not complete: a time-out now is a 408, before it is mere idleness. */
  get hasPartialHead(): boolean {
    return this.#scanner.hasBegun;
  }

  /** This very head may come again, as the same object. */
  remembers(head: HttpRequestHead): boolean {
    return this.#memo.holds(head);
  }

  parse(buffer: Buffer, start: number, end: number): RequestHeadResult {
    const carriedBytes = this.#carried.length;
    if (carriedBytes === 0) {
      const known = this.#find(buffer, start, end);
      if (known !== undefined) return known;
    }
    const next = this.#carried.feed(this.#scanner, buffer, start, end);
    if (next === incomplete) return incompleteHead;
    const scanner = this.#scanner;
    if (next === tooLarge) {
      return rejectHeadTooLarge(`head of more than ${this.#limits.headBytesMax} bytes`);
    }
    if (next === refused) return scanner.reject ?? rejectSyntax('malformed head');
    scanner.reset();
    const built = this.#build(scanner, carriedBytes + next - start);
    scanner.forget();
    if (built.kind === 'reject') return built;
    // A head that came in pieces does not lie in this buffer as a whole.
    if (carriedBytes === 0) (this.#known ?? this.#memo).keep(buffer, start, next, built.head);
    return { kind: 'head', head: built.head, end: next };
  }

  #find(buffer: Buffer, start: number, end: number): RequestHeadFound | undefined {
    if (this.#known !== undefined) return this.#known.find(buffer, start, end);
    const head = this.#memo.find(buffer, start, end);
    return head && { kind: 'head', head, end: start + head.bytes };
  }

  #build(scanner: RequestScanner, bytes: number): BuiltHead | Reject {
    const { target, fields, version, method } = scanner;
    assert(target !== undefined, 'a complete head has a target');
    const facts = gatherFacts(fields);
    const authority = this.#authorityOf(target, facts, version);
    if ('kind' in authority) return authority;
    const framing = parseFraming(facts, version);
    if (framing.kind === 'reject') return framing;
    const maxForwards = maxForwardsOf(method, facts);
    if (typeof maxForwards === 'object') return maxForwards;
    const head: HttpRequestHead = {
      servicePort: this.#servicePort,
      hostname: authority.hostname,
      method,
      path: target.path,
      fieldValues: (name) => fields.values(name),
      version,
      target: target.target,
      query: target.query,
      authority: authority.text,
      fields,
      framing,
      isKeepAlive: !facts.closes && (version === 11 || facts.keepsAlive),
      expectsContinue: version === 11 && hasContent(framing) && isContinue(facts.expect),
      upgrade: upgradeOf(facts, version, framing),
      nominated: facts.nominated,
      hasEncodedSlash: target.hasEncodedSlash,
      maxForwards,
      bytes,
    };
    return { kind: 'built', head };
  }

  /**
   * Exactly one valid Host in HTTP/1.1, at most one before (RFC 9112 section 3.2), also where an
   * absolute-form target replaces it: a message with two hosts is refused, whoever would win.
   */
  #authorityOf(
    target: RequestTarget,
    facts: FieldFacts,
    version: 10 | 11,
  ): Authority | Reject {
    if (facts.hostCount > 1) return rejectHost('several Host fields');
    if (facts.hostCount === 0) {
      if (version === 11) return rejectHost('no Host field');
      // A mesh routes by name; HTTP/1.0 lets a client leave it out: then there is nowhere to go.
      return target.authority ?? rejectHost('HTTP/1.0 request without a host');
    }
    if (facts.host !== this.#host || this.#hostAuthority === undefined) {
      this.#host = facts.host;
      this.#hostAuthority = parseAuthority(facts.host);
    }
    if (this.#hostAuthority === undefined) return rejectHost('Host is no host');
    return target.authority ?? this.#hostAuthority;
  }
}

type BuiltHead = { readonly kind: 'built'; readonly head: HttpRequestHead };

const incompleteHead: RequestHeadResult = { kind: 'incomplete' };

/** A list (RFC 9110 section 10.1.1): who sent it twice waits, too. */
function isContinue(expect: string): boolean {
  if (expect === '') return false;
  return expect.toLowerCase().split(',').some((one) => trimWhitespace(one) === '100-continue');
}

/** An offer next to a body is ignored: who reads those bytes, the old protocol or the new one? */
function upgradeOf(
  facts: FieldFacts,
  version: 10 | 11,
  framing: RequestFraming,
): string | undefined {
  if (!facts.asksUpgrade || version === 10 || hasContent(framing)) return undefined;
  return offeredProtocols(facts.upgrade);
}

function maxForwardsOf(method: string, facts: FieldFacts): number | undefined | Reject {
  if (method !== 'OPTIONS' || facts.maxForwards === undefined) return undefined;
  return parseContentLength(facts.maxForwards) ?? rejectSyntax('Max-Forwards is no number');
}
