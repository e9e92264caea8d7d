// The bytes of a response head, cut into version, status, reason and fields (RFC 9112 section 4).
// No empty line may stand before it: on a connection to a pod every unexpected byte is a fault.
import { cr, latin1Text, lf, space, valueBytes } from './bytes.ts';
import { incomplete, refused } from './carried-bytes.ts';
import { FieldSection } from './field-section.ts';
import type { Fields } from './fields.ts';
import type { HeadLimits } from './limits.ts';
import { rejectSyntax, rejectUnsupported } from './reject.ts';
import type { Reject } from './reject.ts';
import { scanVersion, versionAt, versionBytes } from './version.ts';

/** Offset of the byte after `HTTP/1.1 200`. */
const statusEnd = versionBytes + 4;

/** One per connection; see `reset`. */
export class ResponseScanner {
  #hasBegun = false;
  /** Offset up to which the status line is known to be good. */
  #scanned = 0;
  #version: 10 | 11 = 11;
  #status = 0;
  #statusText = '';
  readonly #section: FieldSection;
  #isInFields = false;
  #reject: Reject | undefined;

  constructor(limits: HeadLimits) {
    this.#section = new FieldSection(limits.fieldsMax);
  }

  /** Ready for the next head; what was read of the last one stays until that is complete. */
  reset(): void {
    this.#hasBegun = false;
    this.#isInFields = false;
    this.#scanned = 0;
  }

  /** The head is somebody else's now; an idle connection holds nothing of it. */
  forget(): void {
    this.#statusText = '';
    this.#section.forget();
  }

  get version(): 10 | 11 {
    return this.#version;
  }

  get status(): number {
    return this.#status;
  }

  get statusText(): string {
    return this.#statusText;
  }

  get fields(): Fields {
    return this.#section.fields;
  }

  /** Why `advance` returned `refused`. */
  get reject(): Reject | undefined {
    return this.#reject ?? this.#section.reject;
  }

  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  /** Offset behind the head, or `incomplete`, or `refused`. */
  advance(buffer: Buffer, base: number, stop: number): number {
    this.#hasBegun ||= base < stop;
    if (!this.#isInFields) {
      const end = this.#scanStatusLine(buffer, base, stop);
      if (end !== goOn) return end;
    }
    return this.#section.advance(buffer, base, stop);
  }

  /** The whole line; the reason phrase may be any text, and is forwarded as it is. */
  #scanStatusLine(buffer: Buffer, base: number, stop: number): number {
    if (this.#scanned < statusEnd) {
      const end = this.#scanStatus(buffer, base, stop);
      if (end !== goOn) return end;
    }
    let at = base + this.#scanned;
    while (at < stop && valueBytes[buffer[at] ?? 0] === 1) at += 1;
    this.#scanned = at - base;
    if (at === stop) return incomplete;
    if (buffer[at] !== cr) return this.#refuse('control byte in the reason phrase');
    if (at + 1 === stop) return incomplete;
    if (buffer[at + 1] !== lf) return this.#refuse('bare CR in the status line');
    this.#statusText = latin1Text(buffer, Math.min(base + statusEnd + 1, at), at);
    this.#section.begin(at + 2 - base);
    this.#isInFields = true;
    return goOn;
  }

  /** `HTTP/1.1 200`, and a space or the end of the line behind it. */
  #scanStatus(buffer: Buffer, base: number, stop: number): number {
    const scanned = scanVersion(buffer, base, stop);
    if (scanned === refused) return this.#refuse('no HTTP version in the status line');
    for (let at = base + versionBytes; at < base + statusEnd && at < stop; at += 1) {
      const isSpaceDue = at === base + versionBytes;
      if (isSpaceDue ? buffer[at] !== space : !isDigit(buffer[at])) {
        return this.#refuse('status is not three digits after one space');
      }
    }
    const end = base + statusEnd;
    if (end >= stop) return incomplete;
    // The space belongs to the grammar even where no reason follows; many servers leave it out, and
    // no reader draws another conclusion from that.
    if (buffer[end] !== space && buffer[end] !== cr) return this.#refuse('status of four digits');
    return this.#takeStatus(buffer, base);
  }

  /** The grammar is right; now the values. */
  #takeStatus(buffer: Buffer, base: number): number {
    const version = versionAt(buffer, base);
    if (version === undefined) {
      this.#reject = rejectUnsupported(505, 'HTTP version of the response is not 1.x');
      return refused;
    }
    const status = Number(latin1Text(buffer, base + versionBytes + 1, base + statusEnd));
    if (status < 100 || status > 599) return this.#refuse('status outside 100 to 599');
    this.#version = version;
    this.#status = status;
    this.#scanned = statusEnd;
    return goOn;
  }

  #refuse(detail: string): number {
    this.#reject = rejectSyntax(detail);
    return refused;
  }
}

/** The phase is over, the next one goes on. */
const goOn = -4;

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39;
}
