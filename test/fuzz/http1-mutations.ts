// Mutations of byte streams that provoke disagreements between parsers: line ends, white space,
// separators and digits are inserted, deleted and duplicated; a seed repeats every one of them.
import { readFileSync } from 'node:fs';
import type { Random } from '../../src/lib/clock.ts';

const alphabet = '\r\n\t\x0b\x00\x85\xa0 :;,0';
const fragments = ['\r\n', '\r\n\r\n', ' \r\n', 'chunked', 'Content-Length: 1\r\n', '0\r\n\r\n'];

/** `text` with one to four mutations. */
export function mutate(text: string, random: Random): string {
  let mutated = text;
  const count = 1 + Math.floor(random() * 4);
  for (let done = 0; done < count; done += 1) mutated = mutateOnce(mutated, random);
  return mutated;
}

function mutateOnce(text: string, random: Random): string {
  const at = Math.floor(random() * (text.length + 1));
  const kind = Math.floor(random() * 5);
  if (kind === 0) return text.slice(0, at) + pick([...alphabet], random) + text.slice(at);
  if (kind === 1) return text.slice(0, at) + text.slice(at + 1);
  if (kind === 2) return text.slice(0, at) + pick([...alphabet], random) + text.slice(at + 1);
  if (kind === 3) return text.slice(0, at) + pick(fragments, random) + text.slice(at);
  const length = 1 + Math.floor(random() * 24);
  return text.slice(0, at + length) + text.slice(at);
}

export function pick<T>(items: readonly T[], random: Random): T {
  const item = items[Math.floor(random() * items.length)];
  if (item === undefined) throw new Error('nothing to pick from');
  return item;
}

/** Up to four ascending positions in `text`. */
export function cutPositions(text: string, random: Random): number[] {
  const count = Math.floor(random() * 5);
  const positions = Array.from({ length: count }, () => Math.floor(random() * (text.length + 1)));
  return positions.sort((left, right) => left - right);
}

type CaseFile = {
  readonly cases: readonly {
    readonly direction: string;
    readonly bytes?: string | null;
  }[];
};

/** The literal cases of one direction: the seeds of the fuzzers. */
export function seedsOf(direction: 'request' | 'response'): string[] {
  const file = new URL('../cases/h1-cases.json', import.meta.url);
  // The file is data of this repository; its format is described beside it.
  const { cases } = JSON.parse(readFileSync(file, 'utf8')) as CaseFile;
  return cases
    .filter((item) => item.direction === direction)
    .map((item) => item.bytes ?? '')
    .filter((bytes) => bytes !== '' && bytes.length < 2000);
}
