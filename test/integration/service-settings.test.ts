// Every setting of a service (contract §3), as objects of a cluster in a running data plane on real
// sockets: on the Service, as the Namespace's default, in each other spelling, with a value that
// cannot be read, and removed again; in HTTP/1.1, HTTP/2 and gRPC. What a setting does in detail is
// in the tests of its own part (traffic-shaping.test.ts); here it is seen to be in force, or not.
import { expect, test } from 'vitest';
import { settingTable } from '../../src/api/index.ts';
import { attemptRows } from '../support/attempt-rows.ts';
import { limitRows } from '../support/limit-rows.ts';
import { describeSettings } from '../support/setting-rows.ts';

const rows = [...limitRows, ...attemptRows];

/** Of a Namespace alone: policy and tunnels have tests of their own. */
const elsewhere = ['policy', 'mtls'];

test('no setting is without a row', () => {
  const seen = new Set([...rows.map(({ setting }): string => setting), ...elsewhere]);
  expect(Object.keys(settingTable).filter((name) => !seen.has(name))).toEqual([]);
});

describeSettings(rows);
