// Which request ids and trace parents of a client are passed on; the others are replaced by ours,
// since a log line or a trace must not be forged by syntax.
import { describe, expect, test } from 'vitest';
import { isRequestId, isTraceparent } from './trace-fields.ts';

const ids = '0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331';
const zeros = (count: number): string => '0'.repeat(count);

describe('traceparent', () => {
  test.each([`00-${ids}-01`, `00-${ids}-ff`, `cc-${ids}-01`, `cc-${ids}-01-more`])(
    '%s passes',
    (value) => {
      expect(isTraceparent(value)).toBe(true);
    },
  );

  test.each([
    '',
    `00-${ids}`,
    `00-${ids}-0`,
    `00-${ids}-01-more`,
    `00-${ids}-01 `,
    `ff-${ids}-01`,
    `00-${ids.toUpperCase()}-01`,
    `00-${zeros(32)}-b7ad6b7169203331-01`,
    `00-0af7651916cd43dd8448eb211c80319c-${zeros(16)}-01`,
    `00_${ids}-01`,
    `cc-${ids}-01more`,
    `cc-${ids}-01-${'x'.repeat(100)}`,
    `0g-${ids}-01`,
  ])('%s is replaced', (value) => {
    expect(isTraceparent(value)).toBe(false);
  });
});

describe('x-request-id', () => {
  test.each(['1', 'a'.repeat(128), '3f2c:9/x=+'])('%s passes', (value) => {
    expect(isRequestId(value)).toBe(true);
  });

  test.each(['', 'a b', 'a\tb', 'caf\xe9', 'a\x7f', 'a'.repeat(129)])('%j is replaced', (value) => {
    expect(isRequestId(value)).toBe(false);
  });
});
