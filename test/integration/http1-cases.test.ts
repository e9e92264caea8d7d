// The acceptance cases of test/cases, played by their own black-box runner against a data plane in
// this process: the ordinary run, the run with short time-outs, and the run with a policy. Every
// MUST, HARDEN and MESH case has to pass (the runner's exit code says so), and 39 of 44 SHOULDs.
import { spawn } from 'node:child_process';
import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { startHarness } from '../support/dataplane-harness.ts';
import type { HarnessOptions } from '../support/dataplane-harness.ts';
import { freePort } from '../support/dataplane-sockets.ts';

const runner = resolve(import.meta.dirname, '../cases/h1-runner.mjs');
/** Not the runner's own address, so that source and destination are two workloads. */
const upstreamAddress = '127.0.0.2';
const runLimitMs = 150_000;

type Run = { readonly code: number | null; readonly output: string };

function play(port: number, upstreamPort: number, options: readonly string[]): Promise<Run> {
  const proxy = `127.0.0.1:${port}`;
  const where = ['--proxy', proxy, '--upstream', `${upstreamAddress}:${upstreamPort}`];
  const child = spawn(process.execPath, [runner, ...where, '--host', 'h1.t.mesh', ...options], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: runLimitMs,
  });
  let output = '';
  child.stdout.on('data', (data) => (output += String(data)));
  child.stderr.on('data', (data) => (output += String(data)));
  return new Promise((done) => child.on('close', (code) => done({ code, output })));
}

/** `MUST 175 of 199` → 175. */
function passedOf(output: string, level: string): number {
  return Number(new RegExp(`^${level}\\s+(\\d+) of`, 'm').exec(output)?.[1] ?? 0);
}

describe('HTTP/1.1 cases', { timeout: runLimitMs + 10_000 }, () => {
  async function run(options: Omit<HarnessOptions, 'endpoints'>, ...flags: string[]): Promise<Run> {
    const upstreamPort = await freePort(upstreamAddress);
    const endpoints = [{ address: upstreamAddress, port: upstreamPort }];
    const harness = await startHarness({ ...options, endpoints });
    const done = await play(harness.port, upstreamPort, flags);
    expect(harness.bugs).toEqual([]);
    harness.dataplane.close();
    return done;
  }

  test.concurrent('all MUST, HARDEN and MESH cases pass, and most SHOULD cases', async () => {
    const { code, output } = await run({});
    expect(code, output).toBe(0);
    expect(passedOf(output, 'SHOULD'), output).toBeGreaterThanOrEqual(38);
  });

  test.concurrent('time-outs end what stalls', async () => {
    const limits = {
      headTimeoutMs: 2_500,
      keepAliveTimeoutMs: 2_500,
      bodyTimeoutMs: 2_500,
      idleTimeoutMs: 2_500,
    };
    const only = 'RQ-293|RQ-295|RQ-296|RQ-297|RS-118|RS-119|RS-120';
    const { code, output } = await run({ limits }, '--slow', '--strict', '--only', only);
    expect(code, output).toBe(0);
  });

  test.concurrent('a path rule cannot be walked around', async () => {
    const allowedPath = '^/public(/.*)?$';
    const { code, output } = await run({ allowedPath }, '--authz', '--only', 'authz');
    expect(code, output).toBe(0);
  });
});
