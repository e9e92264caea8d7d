// PEM as we write it, and what we do not take for it: whatever another reader could read in
// another way.
import { describe, expect, test } from 'vitest';
import { pemOf, readPem } from './pem.ts';

const der = Buffer.from(Array.from({ length: 100 }, (_one, index) => index));
const text = pemOf(der, 'CERTIFICATE');
const ones = Buffer.alloc(3, 0xff);
const limits = { label: 'CERTIFICATE', bytesMax: 1_000, blocksMax: 2 };

describe('readPem', () => {
  test.each([
    ['as written', text, 1],
    ['with carriage returns', text.replaceAll('\n', '\r\n'), 1],
    ['without the last line end', text.trimEnd(), 1],
    ['with empty lines around', `\n\n${text}\n\n${text}\n`, 2],
  ])('reads blocks %s', (_what, given, count) => {
    const reading = readPem(given, limits);
    expect(reading.kind === 'blocks' && reading.blocks.map((one) => Buffer.from(one))).toEqual(
      new Array(count).fill(der),
    );
  });

  test.each([
    ['nothing', '', 'Malformed'],
    ['text before', `# mine\n${text}`, 'Malformed'],
    ['text after', `${text}x`, 'Malformed'],
    ['another label', text.replaceAll('CERTIFICATE', 'PRIVATE KEY'), 'Malformed'],
    ['two labels', text.replace('END CERTIFICATE', 'END PRIVATE KEY'), 'Malformed'],
    ['a header in the block', text.replace('-\n', '-\nProc-Type: 4\n\n'), 'Malformed'],
    ['an open block', text.split('\n').slice(0, -2).join('\n'), 'Malformed'],
    ['an open block after a good one', `${text}${text.slice(0, 80)}`, 'Malformed'],
    ['a block in a block', text.replace('-\n', `-\n${text}`), 'Malformed'],
    ['a block of nothing', pemOf(Buffer.alloc(0), 'CERTIFICATE'), 'Malformed'],
    ['base64 of URLs', pemOf(ones, 'CERTIFICATE').replace('////', '____'), 'Malformed'],
    ['base64 without its padding', text.replaceAll('=', ''), 'Malformed'],
    ['base64 with bits over', text.replace('Yw==', 'Yx=='), 'Malformed'],
    ['spaces in base64', text.replace('AAEC', 'AA EC'), 'Malformed'],
    ['spaces before a line', ` ${text}`, 'Malformed'],
    ['three blocks of two', text.repeat(3), 'TooLarge'],
    ['more than the limit', `${text}${'\n'.repeat(1_000)}`, 'TooLarge'],
  ])('refuses %s', (_what, given, reason) => {
    expect(readPem(given, limits)).toMatchObject({ kind: 'refused', reason });
  });
});
