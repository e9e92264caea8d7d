// A Corefile as CoreDNS's own lexer sees it: tokens parted by white space, quoted tokens, comments
// from a `#` that begins a token to the end of the line. It keeps what CoreDNS drops – offsets and
// comments – because our markers are comments and text is cut out to the byte.
// Model: the lexer of github.com/coredns/caddy. A carriage return parts no tokens there.

export type CorefileToken = {
  readonly text: string;
  /** Counted from 1; a quoted token may end on a later one. */
  readonly line: number;
  readonly endLine: number;
  readonly start: number;
  readonly end: number;
};

/** A comment that has its line to itself. */
export type CorefileComment = {
  /** From `#`, without the end of the line. */
  readonly text: string;
  readonly line: number;
  /** Where its line begins. */
  readonly start: number;
  /** Where the next line begins, or the text ends. */
  readonly end: number;
};

export type CorefileTokens = {
  readonly tokens: readonly CorefileToken[];
  readonly comments: readonly CorefileComment[];
  /** Line of a quote that never ends. */
  readonly openQuoteLine: number | undefined;
};

/** What Go's `unicode.IsSpace` calls a space, but for the two that end lines. */
const blanks = new Set(
  '\t\v\f \u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a' +
    '\u2028\u2029\u202f\u205f\u3000',
);
const byteOrderMark = '\ufeff';

export function readTokens(text: string): CorefileTokens {
  const reader = new TokenReader(text);
  reader.read();
  return reader;
}

/** Lives for one text. */
class TokenReader implements CorefileTokens {
  readonly tokens: CorefileToken[] = [];
  readonly comments: CorefileComment[] = [];
  openQuoteLine: number | undefined;
  readonly #text: string;
  #at = 0;
  #line = 1;
  #lineStart = 0;
  /** Nothing but blanks stands on this line so far. */
  #isLineBlank = true;

  constructor(text: string) {
    this.#text = text;
  }

  read(): void {
    if (this.#text.startsWith(byteOrderMark)) this.#at = 1;
    this.#lineStart = this.#at;
    while (this.#at < this.#text.length) {
      const character = this.#text.charAt(this.#at);
      if (character === '\n') this.#endLine();
      else if (character === '\r' || blanks.has(character)) this.#at += 1;
      else if (character === '#') this.#readComment();
      else this.#readToken(character);
    }
  }

  #endLine(): void {
    this.#at += 1;
    this.#line += 1;
    this.#lineStart = this.#at;
    this.#isLineBlank = true;
  }

  #readComment(): void {
    const newline = this.#text.indexOf('\n', this.#at);
    const end = newline < 0 ? this.#text.length : newline;
    if (this.#isLineBlank) {
      const text = this.#text.slice(this.#at, end).trimEnd();
      const next = Math.min(this.#text.length, end + 1);
      this.comments.push({ text, line: this.#line, start: this.#lineStart, end: next });
    }
    this.#at = end;
  }

  #readToken(first: string): void {
    this.#isLineBlank = false;
    const start = this.#at;
    const line = this.#line;
    const text = first === '"' ? this.#quoted() : this.#plain();
    this.tokens.push({ text, line, endLine: this.#line, start, end: this.#at });
  }

  #plain(): string {
    let text = '';
    for (; this.#at < this.#text.length; this.#at += 1) {
      const character = this.#text.charAt(this.#at);
      if (character === '\n' || blanks.has(character)) break;
      if (character !== '\r') text += character;
    }
    return text;
  }

  #quoted(): string {
    const line = this.#line;
    let text = '';
    for (this.#at += 1; this.#at < this.#text.length; this.#at += 1) {
      const character = this.#text.charAt(this.#at);
      if (character === '"') {
        this.#at += 1;
        return text;
      }
      if (character === '\n') this.#line += 1;
      const next = this.#text.charAt(this.#at + 1);
      if (character === '\\' && next !== '') {
        // Only a quote is escaped; before anything else the backslash stands for itself.
        text += next === '"' ? next : character + next;
        if (next === '\n') this.#line += 1;
        this.#at += 1;
      } else text += character;
    }
    this.openQuoteLine = line;
    return text;
  }
}
