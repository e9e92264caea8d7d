// A hash that is made piece by piece says the same as that of the whole text, wherever the pieces
// end, and what was hashed before stays what it was.
import { expect, test } from 'vitest';
import { contentHash, emptyPart, partHash, withLines } from './hash.ts';

const numbers = Array.from({ length: 5_000 }, (_, index) => index);

function lineOf(index: number): string {
  return `ünïcode ${index} 🧵\n`;
}

function textOf(items: readonly number[]): string {
  return items.map(lineOf).join('');
}

test.each([0, 1, 200, 5_000])('the hash of %i lines is that of their text', (count) => {
  const items = numbers.slice(0, count);
  expect(partHash(withLines(emptyPart(), items, lineOf))).toBe(contentHash(textOf(items)));
});

test('what follows a part leaves it as it was', () => {
  const part = withLines(emptyPart(), numbers, lineOf);
  const longer = withLines(part, numbers, lineOf);
  expect(partHash(longer)).toBe(contentHash(textOf(numbers) + textOf(numbers)));
  expect(partHash(part)).toBe(contentHash(textOf(numbers)));
  expect(partHash(part)).toBe(contentHash(textOf(numbers)));
});
