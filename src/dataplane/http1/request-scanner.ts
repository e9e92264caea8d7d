// The bytes of a request head, cut into method, target, version and fields: grammar and limits of
// RFC 9112 section 3, nothing about meaning (that is request-head.ts). Incremental: each phase goes
// on where it stopped, and refuses at the first byte that cannot be.
import { cr, latin1Text, lf, space, targetBytes, tokenBytes } from './bytes.ts';
import { incomplete, refused } from './carried-bytes.ts';
import { FieldSection } from './field-section.ts';
import type { Fields } from './fields.ts';
import { methodBytesMax } from './limits.ts';
import type { HeadLimits } from './limits.ts';
import {
  rejectForeign,
  rejectProtocol,
  rejectSyntax,
  rejectTargetTooLong,
  rejectUnsupported,
} from './reject.ts';
import type { Reject } from './reject.ts';
import { parseTarget } from './target.ts';
import type { RequestTarget } from './target.ts';
import { scanVersion, versionAt, versionBytes } from './version.ts';

/** What the next byte belongs to; `leading` is the one empty line that may stand before. */
type Phase = 'leading' | 'method' | 'target' | 'version' | 'fields';

/** Type of the record that a TLS client begins with (RFC 8446 section 5.1). */
const tlsHandshake = 0x16;

/** One per connection; see `reset`. */
export class RequestScanner {
  readonly #limits: HeadLimits;
  #phase: Phase = 'leading';
  /** Offset of the first byte of the part that `#phase` reads. */
  #partStart = 0;
  /** Offset up to which the bytes of that part are known to be good. */
  #scanned = 0;
  #method = '';
  #rawTarget = '';
  #target: RequestTarget | undefined;
  #version: 10 | 11 = 11;
  readonly #section: FieldSection;
  #reject: Reject | undefined;

  constructor(limits: HeadLimits) {
    this.#limits = limits;
    this.#section = new FieldSection(limits.fieldsMax);
  }

  /** Ready for the next head; what was read of the last one stays until that is complete. */
  reset(): void {
    this.#phase = 'leading';
    this.#partStart = 0;
    this.#scanned = 0;
  }

  /** The head is somebody else's now; an idle connection holds nothing of it. */
  forget(): void {
    this.#rawTarget = '';
    this.#target = undefined;
    this.#section.forget();
  }

  get method(): string {
    return this.#method;
  }

  get target(): RequestTarget | undefined {
    return this.#target;
  }

  get version(): 10 | 11 {
    return this.#version;
  }

  get fields(): Fields {
    return this.#section.fields;
  }

  /** Why `advance` returned `refused`. */
  get reject(): Reject | undefined {
    return this.#reject ?? this.#section.reject;
  }

  /** A byte of the request itself has been seen (an empty line before it is nothing). */
  get hasBegun(): boolean {
    if (this.#phase === 'leading') return false;
    return this.#phase !== 'method' || this.#scanned > this.#partStart;
  }

  /** Offset behind the head, or `incomplete`, or `refused`. */
  advance(buffer: Buffer, base: number, stop: number): number {
    let end = goOn;
    if (this.#phase === 'leading') end = this.#skipEmptyLine(buffer, base, stop);
    if (end === goOn && this.#phase === 'method') end = this.#scanMethod(buffer, base, stop);
    if (end === goOn && this.#phase === 'target') end = this.#scanTarget(buffer, base, stop);
    if (end === goOn && this.#phase === 'version') end = this.#scanVersion(buffer, base, stop);
    return end === goOn ? this.#section.advance(buffer, base, stop) : end;
  }

  /** One empty line may stand before a request (RFC 9112 section 2.2); not two. */
  #skipEmptyLine(buffer: Buffer, base: number, stop: number): number {
    if (base === stop) return incomplete;
    if (buffer[base] === tlsHandshake) {
      this.#reject = rejectProtocol('a TLS handshake on an HTTP port');
      return refused;
    }
    if (buffer[base] === cr) {
      if (base + 1 === stop) return incomplete;
      if (buffer[base + 1] !== lf) return this.#refuse('bare CR before the request line');
      this.#scanned = 2;
    }
    return this.#enter('method', this.#scanned);
  }

  /** A token of bounded length and one space; the bound comes first, whatever follows it. */
  #scanMethod(buffer: Buffer, base: number, stop: number): number {
    let at = base + this.#scanned;
    const start = base + this.#partStart;
    const limit = Math.min(stop, start + methodBytesMax + 1);
    while (at < limit && tokenBytes[buffer[at] ?? 0] === 1) at += 1;
    this.#scanned = at - base;
    if (at - start > methodBytesMax) {
      this.#reject = rejectUnsupported(501, `method of more than ${methodBytesMax} bytes`);
      return refused;
    }
    if (at === stop) return incomplete;
    if (buffer[at] !== space || at === start) return this.#refuse('method is no token');
    this.#method = methodText(buffer, start, at);
    return this.#enter('target', at + 1 - base);
  }

  /** Target bytes of bounded length and one space; which form they have is target.ts' question. */
  #scanTarget(buffer: Buffer, base: number, stop: number): number {
    let at = base + this.#scanned;
    const start = base + this.#partStart;
    const limit = Math.min(stop, start + this.#limits.targetBytesMax + 1);
    while (at < limit && targetBytes[buffer[at] ?? 0] === 1) at += 1;
    this.#scanned = at - base;
    if (at - start > this.#limits.targetBytesMax) {
      const detail = `target of more than ${this.#limits.targetBytesMax} bytes`;
      this.#reject = rejectTargetTooLong(detail);
      return refused;
    }
    if (at === stop) return incomplete;
    if (buffer[at] !== space || at === start) return this.#refuse('forbidden byte in the target');
    this.#rawTarget = latin1Text(buffer, start, at);
    return this.#enter('version', at + 1 - base);
  }

  /** The version and the CRLF behind it. */
  #scanVersion(buffer: Buffer, base: number, stop: number): number {
    const at = base + this.#partStart;
    const scanned = scanVersion(buffer, at, stop);
    if (scanned === refused) return this.#refuseVersion();
    const lineEnd = at + versionBytes;
    if (scanned === incomplete || lineEnd >= stop) return incomplete;
    if (buffer[lineEnd] !== cr) return this.#refuse('bytes after the HTTP version');
    if (lineEnd + 1 >= stop) return incomplete;
    if (buffer[lineEnd + 1] !== lf) return this.#refuse('bare CR after the HTTP version');
    return this.#endRequestLine(versionAt(buffer, at), lineEnd + 2 - base);
  }

  #refuseVersion(): number {
    if (mayBeTarget(this.#rawTarget)) return this.#refuse('no HTTP version after the target');
    this.#reject = rejectForeign('neither a target nor an HTTP version');
    return refused;
  }

  /** Judges the line as soon as it is whole: a client need not send fields to hear a no. */
  #endRequestLine(version: 10 | 11 | undefined, fieldsStart: number): number {
    if (version === undefined) {
      this.#reject = rejectUnsupported(505, 'HTTP version is not 1.x');
      return refused;
    }
    const target = parseTarget(this.#method, this.#rawTarget);
    if (target.kind === 'reject') {
      this.#reject = target;
      return refused;
    }
    this.#version = version;
    this.#target = target;
    this.#section.begin(fieldsStart);
    return this.#enter('fields', fieldsStart);
  }

  #enter(phase: Phase, partStart: number): number {
    this.#phase = phase;
    this.#partStart = partStart;
    this.#scanned = partStart;
    return goOn;
  }

  #refuse(detail: string): number {
    this.#reject = rejectSyntax(detail);
    return refused;
  }
}

/** Methods whose text exists once; any other token is a method too. */
const commonMethods = ['GET', 'POST', 'PUT', 'HEAD', 'DELETE', 'PATCH', 'OPTIONS'].map((text) => ({
  text,
  bytes: Uint8Array.from(Buffer.from(text, 'latin1')),
}));

function methodText(buffer: Buffer, start: number, end: number): string {
  for (const { text, bytes } of commonMethods) {
    if (bytes.length === end - start && hasBytes(buffer, start, bytes)) return text;
  }
  return latin1Text(buffer, start, end);
}

function hasBytes(buffer: Buffer, start: number, bytes: Uint8Array): boolean {
  for (let at = 0; at < bytes.length; at += 1) {
    if (buffer[start + at] !== bytes[at]) return false;
  }
  return true;
}

/** The phase is over, the next one goes on. */
const goOn = -4;

/** A path, `*`, a URI, or an authority with a port. */
function mayBeTarget(text: string): boolean {
  return text.startsWith('/') || text === '*' || text.includes(':');
}
