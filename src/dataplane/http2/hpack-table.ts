// The two tables of HPACK (RFC 7541 section 2.3): the static one, and the dynamic one as a decoder
// keeps it. An entry is an object that is made once, when it is inserted; every header block that
// refers to it gives out the same object. Invariant: the sizes of the entries sum up to `bytes`,
// and never to more than the maximum.

/** A field line; latin1, one character is one byte. */
export type HeaderField = {
  readonly name: string;
  readonly value: string;
  /** Never to be put into a table, on any hop (RFC 7541 section 7.1.3). */
  readonly isSensitive?: boolean;
};

/** What RFC 7541 section 4.1 adds to each entry. */
const entryOverhead = 32;
/** Entries of the static table; dynamic ones are numbered from here on. */
export const staticCount = 61;
/** The default of SETTINGS_HEADER_TABLE_SIZE, which we keep in both directions. */
export const tableBytesMax = 4096;

const staticText = `:authority
:method GET
:method POST
:path /
:path /index.html
:scheme http
:scheme https
:status 200
:status 204
:status 206
:status 304
:status 400
:status 404
:status 500
accept-charset
accept-encoding gzip, deflate
accept-language
accept-ranges
accept
access-control-allow-origin
age
allow
authorization
cache-control
content-disposition
content-encoding
content-language
content-length
content-location
content-range
content-type
cookie
date
etag
expect
expires
from
host
if-match
if-modified-since
if-none-match
if-range
if-unmodified-since
last-modified
link
location
max-forwards
proxy-authenticate
proxy-authorization
range
referer
refresh
retry-after
server
set-cookie
strict-transport-security
transfer-encoding
user-agent
vary
via
www-authenticate`;

/** RFC 7541 appendix A; the first one has index 1. */
export const staticFields: readonly HeaderField[] = staticText.split('\n').map((line) => {
  const space = line.indexOf(' ');
  return space < 0
    ? { name: line, value: '' }
    : { name: line.slice(0, space), value: line.slice(space + 1) };
});

export function entryBytes(name: string, value: string): number {
  return name.length + value.length + entryOverhead;
}

/** The dynamic table of a decoder. */
export class DynamicTable<Entry extends HeaderField> {
  /** Oldest first; those before `#first` are gone. */
  #entries: (Entry | undefined)[] = [];
  #first = 0;
  #bytes = 0;
  #bytesMax = tableBytesMax;
  /** Counts what changed: the same number means the same table. */
  changes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  get count(): number {
    return this.#entries.length - this.#first;
  }

  /** `place` 0 is the newest. */
  at(place: number): Entry | undefined {
    const index = this.#entries.length - 1 - place;
    return index < this.#first ? undefined : this.#entries[index];
  }

  /** One that is larger than the table empties it (RFC 7541 section 4.4). */
  insert(entry: Entry): void {
    this.changes += 1;
    const bytes = entryBytes(entry.name, entry.value);
    this.#evict(this.#bytesMax - bytes);
    if (bytes > this.#bytesMax) return;
    this.#entries.push(entry);
    this.#bytes += bytes;
  }

  resize(bytesMax: number): void {
    this.changes += 1;
    this.#bytesMax = bytesMax;
    this.#evict(bytesMax);
  }

  #evict(bytesMax: number): void {
    while (this.#bytes > bytesMax && this.#first < this.#entries.length) {
      const oldest = this.#entries[this.#first];
      this.#entries[this.#first] = undefined;
      this.#first += 1;
      if (oldest !== undefined) this.#bytes -= entryBytes(oldest.name, oldest.value);
    }
    // Room is given back in steps: shifting an array each time would cost its length.
    if (this.#first < 256 && this.#first < this.#entries.length) return;
    this.#entries = this.#entries.slice(this.#first);
    this.#first = 0;
  }
}
