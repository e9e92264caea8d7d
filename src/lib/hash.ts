// Content hashes. A version is a hash, never a counter: two proxies that see the same objects say
// the same word without talking to each other.
import { hash } from 'node:crypto';

/** 16 hex digits of SHA-256; enough to tell versions apart, short enough to read aloud. */
export function contentHash(text: string): string {
  return hash('sha256', text, 'hex').slice(0, 16);
}
