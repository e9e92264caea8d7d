// Go's own HTTP/2 on both sides of the data plane: what most gRPC services in a cluster are made
// of. Sizes around frames and windows, many calls on one connection (Go opens windows in steps of
// 4 kB, which is no flood), a stream in both directions; to pods of HTTP/2 and of HTTP/1.1. Where
// no Go that has it (1.24) is on PATH there are no tests here, and so none that passes.
import { execFile, execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startHarness, type Harness } from '../support/dataplane-harness.ts';
import { connectTo, eventually, freePort } from '../support/dataplane-sockets.ts';
import { until } from './support/until.ts';

const run = promisify(execFile);
const source = resolve(import.meta.dirname, 'support/go-http2/main.go');
const address = '127.0.0.4';

function versionOfGo(): number {
  try {
    const said = execFileSync('go', ['env', 'GOVERSION'], { encoding: 'utf8' });
    return Number(/^go1\.(\d+)/.exec(said)?.[1] ?? 0);
  } catch {
    return 0;
  }
}

const version = versionOfGo();

const found = version >= 24 ? `1.${version}` : 'none that speaks HTTP/2 in plain text';

test(`Go on PATH: ${found}`, () => {
  expect(version).toBeGreaterThanOrEqual(0);
});

describe.runIf(version >= 24)('a client and a pod in Go', () => {
  let folder = '';
  let program = '';
  let pod: ChildProcess | undefined;
  let port = 0;
  let harness: Harness | undefined;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'weft-go-'));
    program = join(folder, 'main');
    const env = { ...process.env, GOFLAGS: '', GO111MODULE: 'off', GOTOOLCHAIN: 'local' };
    await run('go', ['build', '-o', program, source], { env, timeout: 170_000 });
    port = await freePort(address);
    pod = spawn(program, ['pod', `${address}:${port}`], { stdio: 'ignore' });
    await until('the pod listens', async () => {
      const peer = await connectTo(port, address).catch(() => undefined);
      peer?.socket.destroy();
      return peer !== undefined;
    });
  }, 180_000);

  afterAll(() => {
    pod?.kill();
    rmSync(folder, { recursive: true, force: true });
  });

  test.each([
    ['HTTP/2', 'h2c'],
    ['HTTP/1.1', undefined],
  ] as const)('to a pod of %s', async (_, scheme) => {
    const endpoints = [{ address, port }];
    harness = await startHarness({ endpoints, ...(scheme === undefined ? {} : { scheme }) });
    const url = `http://127.0.0.1:${harness.port}`;
    const { stdout } = await run(program, ['client', url, 'h1.t.mesh'], { timeout: 55_000 });
    expect(stdout).toBe('done\n');
    expect(harness.bugs).toEqual([]);
    const { dataplane } = harness;
    await eventually(() => dataplane.state().exchanges === 0, 'nothing in flight');
    dataplane.close();
  });
});
