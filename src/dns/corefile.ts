// The structure of a Corefile: server blocks with their keys and directives, snippets, imports. It
// reads as strictly as CoreDNS does and knows no plugin; what it cannot read it calls unreadable,
// with the line, so that nobody edits it. Forms that CoreDNS takes and we refuse: a file without
// braces (one server), and a quote that never ends.
// Model: the parser of github.com/coredns/caddy.
import { readTokens } from './corefile-tokens.ts';
import type { CorefileComment, CorefileToken } from './corefile-tokens.ts';

export type Directive = {
  readonly name: string;
  /** Everything behind the name, a nested block with its braces included. */
  readonly args: readonly string[];
  readonly start: number;
  readonly end: number;
};

export type ServerBlock = {
  /** As written, without the commas. */
  readonly keys: readonly string[];
  readonly directives: readonly Directive[];
  readonly line: number;
  readonly endLine: number;
  readonly start: number;
  readonly end: number;
};

export type Corefile = {
  readonly kind: 'read';
  readonly blocks: readonly ServerBlock[];
  /** Of `import` at the top level, in their order; and where all of them and the snippets stand. */
  readonly imports: readonly string[];
  readonly otherPlaces: readonly number[];
  /** Names of the directives of snippets and of nested imports: what we do not see through. */
  readonly snippetDirectives: ReadonlySet<string>;
  readonly comments: readonly CorefileComment[];
  readonly tokens: readonly CorefileToken[];
};

export type Unreadable = {
  readonly kind: 'unreadable';
  readonly line: number;
  readonly why: string;
  readonly comments: readonly CorefileComment[];
  readonly tokens: readonly CorefileToken[];
};

export function readCorefile(text: string): Corefile | Unreadable {
  const { tokens, comments, openQuoteLine } = readTokens(text);
  const unreadable = (line: number, why: string): Unreadable => ({
    kind: 'unreadable',
    line,
    why,
    comments,
    tokens,
  });
  if (openQuoteLine !== undefined) return unreadable(openQuoteLine, 'a quote has no end');
  const parser = new Parser(tokens);
  parser.read();
  if (parser.fault !== undefined) return unreadable(parser.fault.line, parser.fault.why);
  const { blocks, imports, otherPlaces, snippetDirectives } = parser;
  return { kind: 'read', blocks, imports, otherPlaces, snippetDirectives, comments, tokens };
}

type Fault = { readonly line: number; readonly why: string };

/** Lives for one text; stops at the first fault. */
class Parser {
  readonly blocks: ServerBlock[] = [];
  readonly imports: string[] = [];
  readonly otherPlaces: number[] = [];
  readonly snippetDirectives = new Set<string>();
  fault: Fault | undefined;
  readonly #tokens: readonly CorefileToken[];
  #at = 0;

  constructor(tokens: readonly CorefileToken[]) {
    this.#tokens = tokens;
  }

  read(): void {
    for (let token = this.#next; token !== undefined; token = this.#next) {
      if (token.text === 'import') this.#readImport(token);
      else this.#readBlock(token);
      if (this.fault !== undefined) return;
    }
  }

  get #next(): CorefileToken | undefined {
    return this.#tokens[this.#at];
  }

  /** The next token begins a line. */
  #isNewLine(): boolean {
    const last = this.#tokens[this.#at - 1];
    const next = this.#next;
    return last === undefined || next === undefined || last.endLine < next.line;
  }

  #refuse(line: number, why: string): void {
    this.fault ??= { line, why };
  }

  #readImport(token: CorefileToken): void {
    this.#at += 1;
    this.otherPlaces.push(token.start);
    if (this.#isNewLine()) return this.#refuse(token.line, 'import names nothing');
    this.imports.push(this.#next?.text ?? '');
    while (!this.#isNewLine()) this.#at += 1;
  }

  #readBlock(first: CorefileToken): void {
    const keys = this.#readKeys(first);
    if (this.fault !== undefined) return;
    // The brace.
    this.#at += 1;
    const isSnippet = keys.length === 1 && /^\(.*\)$/.test(keys[0] ?? '');
    const directives: Directive[] = [];
    for (;;) {
      const token = this.#next;
      if (token === undefined) return this.#refuse(first.line, 'a block has no closing brace');
      if (token.text === '}') break;
      const directive = this.#readDirective(token);
      if (this.fault !== undefined) return;
      directives.push(directive);
      if (isSnippet) this.snippetDirectives.add(directive.name);
    }
    const end = this.#next;
    this.#at += 1;
    if (end === undefined) return;
    if (isSnippet) this.otherPlaces.push(first.start);
    else {
      const lines = { line: first.line, endLine: end.endLine };
      this.blocks.push({ keys, directives, ...lines, start: first.start, end: end.end });
    }
  }

  /** Keys stand on one line; after a comma they may go on on the next. */
  #readKeys(first: CorefileToken): readonly string[] {
    const keys: string[] = [];
    let isMoreDue = false;
    for (let token = this.#next; token !== undefined; token = this.#next) {
      if (token.text === '{') break;
      if (token.text === '}') this.#refuse(token.line, 'a closing brace closes nothing');
      if (keys.length > 0 && !isMoreDue && this.#isNewLine()) break;
      isMoreDue = token.text.endsWith(',');
      const key = isMoreDue ? token.text.slice(0, -1) : token.text;
      if (key !== '') keys.push(key);
      this.#at += 1;
    }
    const isOpened = this.#next?.text === '{';
    if (keys.length === 0) this.#refuse(first.line, 'a block has no name');
    else if (!isOpened) this.#refuse(first.line, 'no opening brace follows');
    else if (isMoreDue) this.#refuse(first.line, 'a comma has no name behind it');
    return keys;
  }

  #readDirective(name: CorefileToken): Directive {
    const args: string[] = [];
    let depth = 0;
    let end = name.end;
    if (name.text === '{') this.#refuse(name.line, 'a brace opens nothing');
    this.#at += 1;
    for (let token = this.#next; token !== undefined; token = this.#next) {
      if (token.text === '{') depth += 1;
      else if (depth === 0 && this.#isNewLine()) break;
      else if (token.text === '}') depth -= 1;
      if (depth < 0) {
        this.#refuse(token.line, 'a closing brace stands behind a directive');
        break;
      }
      args.push(token.text);
      end = token.end;
      this.#at += 1;
    }
    if (depth > 0) this.#refuse(name.line, `${name.text} has no closing brace`);
    return { name: name.text, args, start: name.start, end };
  }
}

/** What a key of a server block says; `undefined` for one that is no plain DNS. */
export type ServerKey = {
  /** Lower case, no trailing dot; `.` is the root. */
  readonly zone: string;
  /** As written: a number, or a variable or placeholder that becomes one. */
  readonly port: string | undefined;
};

export function readKey(key: string): ServerKey | undefined {
  const [, scheme = '', rest = ''] = /^(?:([a-z0-9]+):\/\/)?(.*)$/.exec(key) ?? [];
  if (scheme !== '' && scheme !== 'dns') return undefined;
  const [, head, port] = /^(.*):(\d+|\{[$%].*\}|__\w+)$/.exec(rest) ?? [];
  const zone = (head ?? rest).toLowerCase();
  const isRoot = zone === '' || zone === '.';
  return { zone: isRoot ? '.' : zone.replace(/\.$/, ''), port };
}
