// `npm run bench -- udp`: a UDP service of one worker on loopback, with an echo server and a client
// in processes of their own. Paced load, since what counts is what is lost: CPU per datagram (there
// and back is two), loss at each rate, what a new flow costs, and the memory of 10 000 flows.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { startUdpHarness, type PodPlace, type UdpHarness } from '../support/udp-harness.ts';

/** Sends what it gets back. */
const echo = `
const s = require('dgram').createSocket({ type: 'udp4', recvBufferSize: 8 << 20 });
s.on('message', (data, from) => s.send(data, from.port, from.address));
s.bind(0, '127.58.1.1', () => console.log(s.address().port));`;

/** Sends \`rate\` datagrams a second over \`flows\` sockets, and says what came back. */
const load = `
const [port, flows, rate, seconds, bytes] = process.argv.slice(1).map(Number);
const dgram = require('dgram');
let back = 0, sent = 0, bound = 0;
const data = Buffer.alloc(bytes, 1);
const lookup = (address, _, found) => found(null, address, 4);
const sockets = Array.from({ length: flows }, (_, index) => {
  const s = dgram.createSocket({ type: 'udp4', lookup, recvBufferSize: 4 << 20 });
  s.on('message', () => { back += 1; });
  s.bind(0, '127.58.0.' + (10 + index % 8), () => {
    if ((bound += 1) === flows) setTimeout(begin, 50);
  });
  return s;
});
function begin() {
  const started = performance.now();
  const total = rate * seconds;
  const step = () => {
    const due = Math.min(total, Math.floor((performance.now() - started) * rate / 1000));
    for (; sent < due; sent += 1) sockets[sent % flows].send(data, port, '127.58.0.2');
    if (sent < total) setTimeout(step, 1);
    else setTimeout(() => { console.log(JSON.stringify({ sent, back })); process.exit(); }, 500);
  };
  step();
}`;

type Told = { readonly sent: number; readonly back: number };

async function firstLine(child: ChildProcess): Promise<string> {
  if (child.stdout === null) throw new Error('a child without output');
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  return line;
}

function start(program: string, ...args: readonly number[]): ChildProcess {
  const words = ['-e', program, ...args.map(String)];
  return spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'inherit'] });
}

type Load = { readonly flows: number; readonly rate: number; readonly bytes: number };

const seconds = 5;

async function measure(mesh: UdpHarness, { flows, rate, bytes }: Load): Promise<string> {
  const before = process.cpuUsage();
  const child = start(load, mesh.place.port, flows, rate, seconds, bytes);
  const told = JSON.parse(await firstLine(child)) as Told;
  const used = process.cpuUsage(before);
  const cpuUs = (used.user + used.system) / (told.sent + told.back);
  const lost = ((told.sent - told.back) / told.sent) * 100;
  const share = (used.user + used.system) / 1e4 / seconds;
  return (
    `${rate} datagrams/s of ${bytes} B over ${flows} flows: lost ${lost.toFixed(3)} %, ` +
    `${cpuUs.toFixed(1)} us CPU per datagram, ${share.toFixed(0)} % of a core`
  );
}

/** Lines of a report. */
export async function benchUdp(): Promise<readonly string[]> {
  const pod = start(echo);
  const place: PodPlace = { address: '127.58.1.1', port: Number(await firstLine(pod)) };
  const mesh = await startUdpHarness({ pods: [place] });
  const lines: string[] = [];
  try {
    const loads: readonly Load[] = [
      { flows: 16, rate: 5_000, bytes: 200 },
      { flows: 16, rate: 20_000, bytes: 200 },
      { flows: 16, rate: 20_000, bytes: 1_400 },
      { flows: 16, rate: 30_000, bytes: 200 },
    ];
    for (const one of loads) lines.push(await measure(mesh, one));
    mesh.time.advance(70_000);
    global.gc?.();
    const rssBefore = process.memoryUsage().rss;
    lines.push(await measure(mesh, { flows: 10_000, rate: 5_000, bytes: 200 }));
    await sleep(200);
    const perFlow = (process.memoryUsage().rss - rssBefore) / 10_000 / 1_024;
    const { flows } = mesh.udp();
    lines.push(`${flows} flows are open, ${perFlow.toFixed(1)} kB of RSS each`);
  } finally {
    mesh.dataplane.close();
    pod.kill();
  }
  return lines;
}
