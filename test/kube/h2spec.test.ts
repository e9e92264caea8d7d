// h2spec, the conformance suite of HTTP/2 (RFC 9113, RFC 7541), against a listener of the data
// plane as it runs in a worker. It needs a pod that answers, because only a routed request lives
// long enough to be told what is wrong with it.
import { execFile } from 'node:child_process';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startHarness } from '../support/dataplane-harness.ts';
import type { Harness } from '../support/dataplane-harness.ts';
import { eventually } from '../support/dataplane-sockets.ts';
import { programPath } from './support/tools.ts';

/** Of h2spec 2.6; a run of fewer tests is no run. */
const testsMin = 145;

let harness: Harness;
const pod = http.createServer((request, response) => {
  request.resume();
  request.on('end', () => response.end('hello'));
});

beforeAll(async () => {
  await new Promise<void>((done) => pod.listen(0, '127.0.0.1', done));
  const { address, port } = pod.address() as AddressInfo; // it listens on TCP
  // h2spec asks for the address that it connects to.
  harness = await startHarness({ endpoints: [{ address, port }], alias: '127.0.0.1' });
});

afterAll(() => {
  harness.dataplane.close();
  pod.close();
  pod.closeAllConnections();
});

function h2spec(args: readonly string[]): Promise<string> {
  const where = ['--host', '127.0.0.1', '--port', String(harness.port), '--timeout', '3'];
  const options = { timeout: 50_000 };
  return new Promise((resolve) => {
    execFile(programPath('h2spec'), [...where, ...args], options, (_, out) => resolve(out));
  });
}

test('the listener passes all of it', async () => {
  const report = await h2spec([]);
  const [, tests, failed] = /(\d+) tests, \d+ passed, 0 skipped, (\d+) failed/.exec(report) ?? [];
  expect({ failed, report: failed === '0' ? '' : report }).toEqual({ failed: '0', report: '' });
  expect(Number(tests)).toBeGreaterThanOrEqual(testsMin);
  expect(harness.bugs).toEqual([]);
  await eventually(() => harness.dataplane.state().exchanges === 0, 'nothing in flight');
});
