// Content hashes. A version is a hash, never a counter: two proxies that see the same objects say
// the same word without talking to each other.
import { createHash, hash, type Hash } from 'node:crypto';

/** 16 hex digits of SHA-256; enough to tell versions apart, short enough to read aloud. */
export function contentHash(text: string): string {
  return hash('sha256', text, 'hex').slice(0, 16);
}

/** What has been hashed of a text so far. Never changed: what follows goes into a copy. */
export type HashedPart = { readonly state: Hash };

/** Nothing yet. */
export function emptyPart(): HashedPart {
  return { state: createHash('sha256') };
}

/** `before` with a line for each of `items` after it, which ends it itself. */
export function withLines<T>(
  before: HashedPart,
  items: Iterable<T>,
  lineOf: (item: T) => string,
): HashedPart {
  const state = before.state.copy();
  let text = '';
  for (const item of items) {
    text += lineOf(item);
    // Pieces that fit into a cache; each one costs a call of the engine.
    if (text.length < pieceLength) continue;
    state.update(text);
    text = '';
  }
  return { state: state.update(text) };
}

const pieceLength = 8_192;

/** As `contentHash` of the whole text. */
export function partHash({ state }: HashedPart): string {
  return state.copy().digest('hex').slice(0, 16);
}
