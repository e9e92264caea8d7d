// Structural schemas against what a real kube-apiserver (1.34) answered to the same objects: every
// text below was copied from its responses, not from our code.
import { describe, expect, test } from 'vitest';
import { defaultStructural, pruneStructural } from './schema-prune.ts';
import { validateStructural } from './schema-validate.ts';
import { readSchema } from './schema.ts';

const text = { type: 'string' };

/** The schema that the real API server was given. */
const spec = {
  type: 'object',
  required: ['a'],
  properties: {
    a: { ...text, minLength: 2, maxLength: 4, pattern: '^[a-z]+$' },
    num: { type: 'integer', minimum: 1, maximum: 5 },
    x: { type: 'number', exclusiveMinimum: true, minimum: 0, multipleOf: 0.5 },
    i32: { type: 'integer', format: 'int32' },
    e: { ...text, enum: ['A', 'B'] },
    l: { type: 'array', minItems: 1, maxItems: 2, items: text },
    m: {
      type: 'object',
      additionalProperties: { type: 'integer' },
      maxProperties: 2,
      minProperties: 1,
    },
    w: { 'x-kubernetes-int-or-string': true, minimum: 0, pattern: '^[0-9]+m?$' },
    h: { 'x-kubernetes-preserve-unknown-fields': true },
    hp: {
      type: 'object',
      'x-kubernetes-preserve-unknown-fields': true,
      properties: { z: { type: 'object', properties: { q: text } } },
    },
    nul: { ...text, nullable: true },
    d: { ...text, default: 'dd' },
    dn: { ...text, default: 'dd', nullable: true },
    o: { type: 'object', properties: { p: text } },
    b: { type: 'boolean' },
    t: { ...text, format: 'date-time' },
    lm: {
      type: 'array',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['type'],
      items: { type: 'object', required: ['type'], properties: { type: text } },
    },
    ls: { type: 'array', 'x-kubernetes-list-type': 'set', items: text },
  },
};
const root = { type: 'object', required: ['spec'], properties: { spec } };

function read(input: unknown) {
  const reading = readSchema(input);
  if (reading.schema === undefined) throw new Error(reading.faults.join());
  return reading.schema;
}

const schema = read(root);

/** What the API server does with an object: prune, default, validate. */
function admit(fields: object) {
  const object = { apiVersion: 'v1', kind: 'Probe', metadata: { name: 'p' }, ...fields };
  const { value, unknown } = pruneStructural(schema, object);
  const filled = defaultStructural(schema, value);
  const faults = validateStructural(schema, filled);
  return { value: filled, unknown, faults };
}

type Cause = readonly [string, string, string];

function causes(fields: object): readonly Cause[] {
  return admit(fields)
    .faults.map((fault): Cause => [fault.reason, fault.field, fault.message])
    .sort((left, right) => (left[1] < right[1] ? -1 : 1));
}

const typed = 'FieldValueTypeInvalid';
const wrong = 'FieldValueInvalid';

describe('refusals read as the API server’s', () => {
  const cases: readonly (readonly [object, readonly Cause[]])[] = [
    [{}, [['FieldValueRequired', 'spec', 'Required value']]],
    [{ spec: null }, [['FieldValueRequired', 'spec', 'Required value']]],
    [{ spec: {} }, [['FieldValueRequired', 'spec.a', 'Required value']]],
    [{ spec: { a: null } }, [['FieldValueRequired', 'spec.a', 'Required value']]],
    [
      { spec: 'x' },
      [[typed, 'spec', 'Invalid value: "string": spec in body must be of type object: "string"']],
    ],
    [
      { spec: { a: 'abcdefg', w: true, l: [], t: 'x', x: 0 } },
      [
        ['FieldValueTooLong', 'spec.a', 'Too long: may not be more than 4 bytes'],
        [wrong, 'spec.l', 'Invalid value: 0: spec.l in body should have at least 1 items'],
        [typed, 'spec.t', 'Invalid value: "x": spec.t in body must be of type date-time: "x"'],
        [
          typed,
          'spec.w',
          'Invalid value: "boolean": spec.w in body must be of type integer,string: "boolean"',
        ],
        [wrong, 'spec.x', 'Invalid value: 0: spec.x in body should be greater than 0'],
      ],
    ],
    [
      { spec: { a: 'x' } },
      [[wrong, 'spec.a', 'Invalid value: "x": spec.a in body should be at least 2 chars long']],
    ],
    [
      { spec: { a: 'AB' } },
      [[wrong, 'spec.a', 'Invalid value: "AB": spec.a in body should match \'^[a-z]+$\'']],
    ],
    [
      { spec: { a: 'ééé' } },
      [[wrong, 'spec.a', 'Invalid value: "ééé": spec.a in body should match \'^[a-z]+$\'']],
    ],
    [
      { spec: { a: 'ab', num: 0 } },
      [
        [
          wrong,
          'spec.num',
          'Invalid value: 0: spec.num in body should be greater than or equal to 1',
        ],
      ],
    ],
    [
      { spec: { a: 'ab', num: 1.5 } },
      [
        [
          typed,
          'spec.num',
          'Invalid value: "number": spec.num in body must be of type integer: "number"',
        ],
      ],
    ],
    [
      { spec: { a: 'ab', x: 0.3 } },
      [[wrong, 'spec.x', 'Invalid value: 0.3: spec.x in body should be a multiple of 0.5']],
    ],
    [
      { spec: { a: 'ab', e: 7 } },
      [
        [
          typed,
          'spec.e',
          'Invalid value: "integer": spec.e in body must be of type string: "integer"',
        ],
        ['FieldValueNotSupported', 'spec.e', 'Unsupported value: 7: supported values: "A", "B"'],
      ],
    ],
    [
      { spec: { a: 'ab', w: -1, ls: ['a', 'a'] } },
      [
        ['FieldValueDuplicate', 'spec.ls[1]', 'Duplicate value: "a"'],
        [
          wrong,
          'spec.w',
          'Invalid value: -1: spec.w in body should be greater than or equal to 0',
        ],
      ],
    ],
    [
      { spec: { a: 'ab', w: '-5' } },
      [[wrong, 'spec.w', 'Invalid value: "-5": spec.w in body should match \'^[0-9]+m?$\'']],
    ],
    [
      { spec: { a: 'ab', lm: [{ type: 'a' }, { type: 'a' }, {}] } },
      [
        ['FieldValueDuplicate', 'spec.lm[1]', 'Duplicate value: {"type":"a"}'],
        ['FieldValueRequired', 'spec.lm[2].type', 'Required value'],
      ],
    ],
    [
      { spec: { a: 'ab', l: ['a', 'b', 'c'], m: {} } },
      [
        ['FieldValueTooMany', 'spec.l', 'Too many: 3: must have at most 2 items'],
        [wrong, 'spec.m', 'Invalid value: 0: spec.m in body should have at least 1 properties'],
      ],
    ],
    [
      { spec: { a: 'ab', l: [null, 'a'], m: { k: [] } } },
      [
        [
          typed,
          'spec.l[0]',
          'Invalid value: "null": spec.l[0] in body must be of type string: "null"',
        ],
        [
          typed,
          'spec.m.k',
          'Invalid value: "array": spec.m.k in body must be of type integer: "array"',
        ],
      ],
    ],
    [
      { spec: { a: 'ab', lm: [1] } },
      [
        [
          typed,
          'spec.lm[0]',
          'Invalid value: "integer": spec.lm[0] in body must be of type object: "integer"',
        ],
        [
          wrong,
          'spec.lm[0]',
          'Invalid value: 1: must be an object for an array of list-type map',
        ],
      ],
    ],
  ];
  test.each(cases)('%j', (fields, expected) => {
    expect(causes(fields)).toEqual(expected);
  });
});

describe('what is accepted, and how it is stored', () => {
  const filled = { a: 'ab', d: 'dd', dn: 'dd' };
  const cases: readonly (readonly [object, object])[] = [
    [{}, filled],
    [{ num: 2.0, i32: 3_000_000_000, w: '500m' }, { ...filled, num: 2, i32: 3e9, w: '500m' }],
    [{ w: null, h: null, o: null }, filled],
    [{ h: { x: true } }, { ...filled, h: { x: true } }],
    [{ h: [{ a: null }] }, { ...filled, h: [{ a: null }] }],
    [{ hp: { x: null, z: { q: 'a' } } }, { ...filled, hp: { x: null, z: { q: 'a' } } }],
    [{ nul: null, d: null, dn: null }, { a: 'ab', nul: null, d: 'dd', dn: null }],
    [{ ls: [], o: { p: 'x' } }, { ...filled, ls: [], o: { p: 'x' } }],
    [{ t: '2024-05-06T07:08:09Z' }, { ...filled, t: '2024-05-06T07:08:09Z' }],
  ];
  test.each(cases)('%j', (fields, stored) => {
    const admitted = admit({ spec: { a: 'ab', ...fields } });
    expect([admitted.unknown, admitted.faults]).toEqual([[], []]);
    expect(admitted.value.spec).toEqual(stored);
  });
});

describe('unknown fields are dropped and named', () => {
  const cases: readonly (readonly [object, readonly string[]])[] = [
    [{ foo: { x: 1 }, bar: 2 }, ['bar', 'foo']],
    [{ spec: { a: 'ab', foo: 1, o: { bar: 2 } }, top: 1 }, ['spec.foo', 'spec.o.bar', 'top']],
    [{ spec: { a: 'ab', hp: { x: 1, z: { q: 'a', r: 1 } } } }, ['spec.hp.z.r']],
    [{ spec: { a: 'ab', lm: [{ foo: 1, type: 'a' }] } }, ['spec.lm[0].foo']],
    [{ spec: { a: 'ab', l: [{ x: { y: 1 } }] } }, ['spec.l[0].x']],
    [{ spec: { a: { b: 1 } } }, ['spec.a.b']],
  ];
  test.each(cases)('%j', (fields, unknown) => {
    const admitted = admit(fields);
    expect(admitted.unknown).toEqual(unknown);
    const again = pruneStructural(schema, admitted.value);
    expect(again.unknown).toEqual([]);
  });

  test('apiVersion, kind and metadata of the whole object stay', () => {
    const metadata = { name: 'p', odd: 1 };
    const object = { apiVersion: 'v1', kind: 'Probe', metadata, spec: { metadata: 1 } };
    const pruned = pruneStructural(schema, object);
    expect(pruned).toEqual({
      value: { apiVersion: 'v1', kind: 'Probe', metadata, spec: {} },
      unknown: ['spec.metadata'],
    });
  });

  test('__proto__ is a field like any other', () => {
    const open = read({ type: 'object', additionalProperties: { type: 'string' } });
    const object = JSON.parse('{"__proto__":"x","constructor":"y"}') as Record<string, unknown>;
    const pruned = pruneStructural(open, object);
    expect(JSON.stringify(defaultStructural(open, pruned.value))).toBe(JSON.stringify(object));
    expect(pruneStructural(schema, object).unknown).toEqual(['__proto__', 'constructor']);
  });

  test('the input is not changed', () => {
    const object = { spec: { foo: 1, d: null } };
    defaultStructural(schema, pruneStructural(schema, object).value);
    expect(object).toEqual({ spec: { foo: 1, d: null } });
  });
});

describe('schemas that are none', () => {
  test('a field without a type is told as the API server tells it', () => {
    const reading = readSchema({ type: 'object', properties: { x: {} } });
    expect(reading.schema).toBeUndefined();
    expect(reading.faults).toEqual([
      '.properties[x].type: Required value: must not be empty for specified object fields',
    ]);
  });

  test('nonsense, hostile patterns and endless depth are faults', () => {
    let deep: object = { type: 'string' };
    for (let level = 0; level < 100; level += 1) {
      deep = { type: 'object', properties: { x: deep } };
    }
    for (const input of [undefined, null, 'x', [], {}, deep, { type: 'string', pattern: '(' }]) {
      expect(readSchema(input).schema).toBeUndefined();
    }
  });

  test('what is not evaluated is listed', () => {
    const rules = [{ rule: 'self.a > 1' }];
    const x = { type: 'object', 'x-kubernetes-validations': rules, oneOf: [] };
    const reading = readSchema({ type: 'object', properties: { x } });
    expect(reading.unevaluated).toEqual([
      '.properties[x].oneOf',
      '.properties[x].x-kubernetes-validations',
    ]);
  });
});

test('a document of fifty thousand brackets ends nothing', () => {
  const deep: unknown = JSON.parse(`${'['.repeat(50_000)}${']'.repeat(50_000)}`);
  for (const field of ['a', 'e', 'h', 'l', 'm', 'lm', 'ls', 'o']) {
    const object = { spec: { a: 'ab', [field]: deep } };
    const pruned = pruneStructural(schema, object);
    const filled = defaultStructural(schema, pruned.value);
    expect(validateStructural(schema, filled, filled)).toEqual([]);
    expect(validateStructural(schema, filled).length > 0).toBe(field !== 'h');
  }
});

test('a thousand faults are told as a hundred', () => {
  const object = { spec: { a: 'ab', l: new Array(1000).fill(7) } };
  expect(validateStructural(schema, object).length).toBe(100);
});

describe('ratcheting: what is as it was is not judged again', () => {
  const former = { spec: { a: 'TOO LONG', l: [1], lm: [{ type: 'a' }, {}], o: { p: 7 } } };
  const fields = (now: object): readonly string[] =>
    validateStructural(schema, now as Record<string, unknown>, former).map((fault) => fault.field);

  test('an object that was wrong already can be labelled', () => {
    expect(validateStructural(schema, former).length).toBeGreaterThan(3);
    expect(fields({ ...former, metadata: { labels: { x: 'y' } } })).toEqual([]);
  });

  test('a changed field is judged, its neighbours are not', () => {
    expect(fields({ spec: { ...former.spec, o: { p: 8 } } })).toEqual(['spec.o.p']);
    expect(fields({ spec: { ...former.spec, num: 9 } })).toEqual(['spec.num']);
  });

  test('items of a plain list are judged anew when the list changes', () => {
    expect(fields({ spec: { ...former.spec, l: [1, 2] } })).toEqual(['spec.l[0]', 'spec.l[1]']);
  });

  test('what is required and was missing already is missing when its object changes', () => {
    expect(validateStructural(schema, { x: 1 }, {}).map((fault) => fault.field)).toEqual(['spec']);
  });
});
