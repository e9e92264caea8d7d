// Where the members of a JSON object stand in its text, so that one can be put in or cut out and
// every other byte stays. Only the outermost level is told apart; the text was checked by
// JSON.parse before (RFC 8259), so nothing is checked again here.

export type JsonMember = {
  readonly name: string;
  /** From the quote of the name to behind the value. */
  readonly start: number;
  readonly end: number;
};

/** `undefined` when the text is no JSON object. */
export function readMembers(text: string): readonly JsonMember[] | undefined {
  if (!isObject(text)) return undefined;
  const members: JsonMember[] = [];
  let depth = 0;
  let start: number | undefined;
  let nameEnd = 0;
  let last = 0;
  const close = (): void => {
    if (start !== undefined) {
      // Checked by JSON.parse: what stands there is a string.
      const name = JSON.parse(text.slice(start, nameEnd)) as string;
      members.push({ name, start, end: last });
    }
    start = undefined;
  };
  for (let at = 0; at < text.length; at += 1) {
    const character = text.charAt(at);
    if (depth === 1 && (character === ',' || character === '}')) close();
    if (character === '{' || character === '[') depth += 1;
    else if (character === '}' || character === ']') depth -= 1;
    else if (character === '"') {
      const end = stringEnd(text, at);
      if (depth === 1 && start === undefined) {
        start = at;
        nameEnd = end;
      }
      at = end - 1;
    }
    if (!/\s/.test(text.charAt(at))) last = at + 1;
  }
  return members;
}

function isObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    // No JSON at all: the caller says so.
    return false;
  }
}

/** Behind the closing quote. */
function stringEnd(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at += 1) {
    if (text.charAt(at) === '\\') at += 1;
    else if (text.charAt(at) === '"') return at + 1;
  }
  return text.length;
}

/** In front of all others, as `removeMember` takes them out again. */
export function insertMembers(text: string, members: readonly string[]): string {
  if (members.length === 0) return text;
  const at = text.indexOf('{') + 1;
  const isEmpty = readMembers(text)?.length === 0;
  return `${text.slice(0, at)}${members.join(', ')}${isEmpty ? '' : ', '}${text.slice(at)}`;
}

/** Cuts the member and the comma that parts it from a neighbour. */
export function removeMember(text: string, { start, end }: JsonMember): string {
  const after = /^\s*, ?/.exec(text.slice(end));
  if (after !== null) return text.slice(0, start) + text.slice(end + after[0].length);
  const before = /,\s*$/.exec(text.slice(0, start));
  return text.slice(0, start - (before?.[0].length ?? 0)) + text.slice(end);
}
