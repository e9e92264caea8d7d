// The list of fields and the table of known names: order and bytes are kept, and names from outside
// are never keys.
import { describe, expect, test } from 'vitest';
import { field, knownFieldAt, knownFieldCount, lowerNameOf } from './field-names.ts';
import { FieldSection } from './field-section.ts';
import type { Fields } from './fields.ts';

function fieldsOf(...lines: readonly (readonly [string, string])[]): Fields {
  const section = new FieldSection(100);
  section.begin(0);
  const text = `${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`;
  const bytes = Buffer.from(text, 'latin1');
  expect(section.advance(bytes, 0, bytes.length)).toBe(bytes.length);
  return section.fields;
}

describe('fields', () => {
  test('fields of one name stay apart and in order', () => {
    const fields = fieldsOf(['A', '1'], ['b', '2'], ['a', '3']);
    expect(fields.values('a')).toEqual(['1', '3']);
    expect(fields.get('a')).toBe('1');
    expect([...fields]).toEqual([
      ['A', '1'],
      ['b', '2'],
      ['a', '3'],
    ]);
  });

  test('names of Object.prototype are absent until they are sent', () => {
    const empty = fieldsOf();
    for (const name of ['__proto__', 'constructor', 'hasOwnProperty', 'toString']) {
      expect(empty.has(name)).toBe(false);
      expect(empty.get(name)).toBeUndefined();
      expect(empty.values(name)).toEqual([]);
      expect(fieldsOf([name, 'x']).values(name.toLowerCase())).toEqual(['x']);
    }
  });

  test('underscore and dash are different names', () => {
    const fields = fieldsOf(['x-a', '1'], ['x_a', '2']);
    expect(fields.values('x-a')).toEqual(['1']);
    expect(fields.values('x_a')).toEqual(['2']);
  });
});

describe('known field names', () => {
  const find = (name: string): number => {
    const bytes = Buffer.from(`..${name}..`, 'latin1');
    return knownFieldAt(bytes, 2, 2 + name.length);
  };

  test('are found in any case', () => {
    for (let known = 1; known < knownFieldCount; known += 1) {
      const name = lowerNameOf(known);
      expect(find(name), name).toBe(known);
      expect(find(name.toUpperCase()), name).toBe(known);
    }
    expect(lowerNameOf(field.xForwardedClientCert)).toBe('x-forwarded-client-cert');
    expect(lowerNameOf(field.http2Settings)).toBe('http2-settings');
    expect(lowerNameOf(field.te)).toBe('te');
  });

  test('are not found when more follows, whatever bucket that falls into', () => {
    const letters = [...'abcdefghijklmnopqrstuvwxyz-'];
    const known = new Set(Array.from({ length: knownFieldCount }, (_, at) => lowerNameOf(at)));
    for (const name of known) {
      const endings = ['', ...letters].flatMap((first) => letters.map((last) => first + last));
      const longer = endings.map((ending) => name + ending);
      const found = longer.filter((other) => find(other) !== 0 && !known.has(other));
      expect(found, name).toEqual([]);
    }
  });

  test('are not found when a byte differs', () => {
    const strangers = ['hosts', 'hos', 'host\x80', 'content_length', 'content-lengt\x08', 'tE\x00'];
    for (const name of strangers) expect(find(name), name).toBe(0);
  });
});
