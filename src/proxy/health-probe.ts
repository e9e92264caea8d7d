// One active check: a GET on a connection of its own, of which the status line alone is read, or
// for pods of HTTP/2 just the connection. It passes with 200 to 399, as the kubelet's probes do;
// redirects are not followed. Whatever else comes, comes late or not at all is a failure.
import type { Timers } from '../lib/clock.ts';
import type { Network } from '../lib/network.ts';
import { checkDeadlineMs } from './health-plan.ts';
import type { CheckTarget } from './health-plan.ts';

export type HealthProbeOptions = {
  readonly network: Network;
  readonly timers: Timers;
  readonly localAddress: string | undefined;
};

/** A status line is read up to here. */
const lineBytesMax = 64;

/** Calls `told` once, within the deadline of the check; the answer cuts it off untold. */
export function probeHealth(
  { network, timers, localAddress }: HealthProbeOptions,
  target: CheckTarget,
  told: (hasPassed: boolean) => void,
): () => void {
  const { address, port, kind } = target;
  const socket = network.connect({ address, port, localAddress });
  let isOver = false;
  let line = '';
  const stop = (): boolean => {
    if (isOver) return false;
    isOver = true;
    timer.cancel();
    socket.destroy();
    return true;
  };
  const end = (hasPassed: boolean): void => {
    if (stop()) told(hasPassed);
  };
  const timer = timers.after(checkDeadlineMs(target.rule), () => end(false));
  const readLine = (data: Buffer): void => {
    line += data.toString('latin1', 0, lineBytesMax);
    if (line.length >= lineBytesMax || line.includes('\n')) end(isGood(line));
  };
  // Sockets that read into buffers of their reader send no `data`.
  const into = Buffer.allocUnsafe(1_024);
  const reader = {
    readBuffer: () => into,
    read: (buffer: Buffer, bytes: number) => readLine(buffer.subarray(0, bytes)),
  };
  if (socket.readInto === undefined) socket.on('data', readLine);
  else socket.readInto(reader);
  socket.on('connect', () => {
    if (kind === 'connect') end(true);
    else socket.write(requestOf(target), 'latin1');
  });
  for (const event of ['end', 'close'] as const) socket.on(event, () => end(false));
  socket.on('error', () => end(false));
  return () => void stop();
}

function requestOf({ rule, host }: CheckTarget): string {
  const lines = [`GET ${rule.path} HTTP/1.1`, `host: ${host}`, 'user-agent: weft-health-check'];
  return [...lines, 'accept: */*', 'connection: close', '', ''].join('\r\n');
}

function isGood(line: string): boolean {
  return /^HTTP\/1\.[01] [23][0-9]{2}[ \r\n]/.test(line);
}
