// The patches by the examples of their RFCs (7386 appendix A, 6902 appendix A), and their limits.
// What an API server makes of them is in the conformance cases.
import { describe, expect, test } from 'vitest';
import type { Json } from './json.ts';
import { jsonPatch, mergePatch } from './patch.ts';

describe('merge patch (RFC 7386)', () => {
  const examples: readonly (readonly [Json, Json, Json])[] = [
    [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
    [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
    [{ a: 'b' }, { a: null }, {}],
    [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
    [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
    [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
    [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
    [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
    [
      ['a', 'b'],
      ['c', 'd'],
      ['c', 'd'],
    ],
    [{ a: 'b' }, ['c'], ['c']],
    [{ a: 'foo' }, null, null],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: 'b', c: null }, { a: 'b' }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ];
  test.each(examples)('%j with %j is %j', (target, patch, merged) => {
    expect(mergePatch(target, patch)).toEqual(merged);
  });

  test('leaves its target as it was', () => {
    const target = { a: { b: 'c' } };
    mergePatch(target, { a: { b: null } });
    expect(target).toEqual({ a: { b: 'c' } });
  });
});

describe('JSON patch (RFC 6902)', () => {
  const examples: readonly (readonly [Json, Json, Json])[] = [
    [{ foo: 'bar' }, [{ op: 'add', path: '/baz', value: 'qux' }], { foo: 'bar', baz: 'qux' }],
    [
      { foo: ['bar', 'baz'] },
      [{ op: 'add', path: '/foo/1', value: 'qux' }],
      { foo: ['bar', 'qux', 'baz'] },
    ],
    [{ baz: 'qux', foo: 'bar' }, [{ op: 'remove', path: '/baz' }], { foo: 'bar' }],
    [{ foo: ['a', 'b', 'c'] }, [{ op: 'remove', path: '/foo/1' }], { foo: ['a', 'c'] }],
    [
      { foo: { bar: 'baz', waldo: 'fred' }, qux: { corge: 'grault' } },
      [{ op: 'move', from: '/foo/waldo', path: '/qux/thud' }],
      { foo: { bar: 'baz' }, qux: { corge: 'grault', thud: 'fred' } },
    ],
    [
      { foo: ['all', 'grass', 'cows', 'eat'] },
      [{ op: 'move', from: '/foo/1', path: '/foo/3' }],
      { foo: ['all', 'cows', 'eat', 'grass'] },
    ],
    [
      { foo: 'bar' },
      [{ op: 'add', path: '/child', value: { a: {} } }],
      { foo: 'bar', child: { a: {} } },
    ],
    [{ '/': 9, '~1': 10 }, [{ op: 'test', path: '/~01', value: 10 }], { '/': 9, '~1': 10 }],
    [{ foo: ['bar'] }, [{ op: 'add', path: '/foo/-', value: ['x'] }], { foo: ['bar', ['x']] }],
    [{ foo: 1 }, [{ op: 'replace', path: '', value: { bar: 2 } }], { bar: 2 }],
  ];
  test.each(examples)('%j with %j is %j', (target, patch, patched) => {
    expect(jsonPatch(target, patch)).toEqual(patched);
  });

  const refused: readonly Json[] = [
    [{ op: 'add', path: '/baz/bat', value: 'qux' }],
    [{ op: 'test', path: '/foo', value: 'other' }],
    [{ op: 'remove', path: '/none' }],
    [{ op: 'remove', path: '' }],
    [{ op: 'add', path: '/list/5', value: 1 }],
    [{ op: 'add', path: '/list/01', value: 1 }],
    [{ op: 'jump', path: '/foo' }],
    [{ op: 'add', path: 'foo', value: 1 }],
    { op: 'add', path: '/foo', value: 1 },
    new Array<Json>(10_001).fill({ op: 'test', path: '/foo', value: 'bar' }),
  ];
  test.each(refused.map((patch) => [JSON.stringify(patch).slice(0, 60), patch] as const))(
    'refuses %s',
    (_shown, patch) => {
      expect(() => jsonPatch({ foo: 'bar', list: [1] }, patch)).toThrow();
    },
  );
});
