// A pod with default capabilities that poses as its neighbour: it tells a proxy's kernel that the
// neighbour's address is at its own hardware address (ARP), and then opens a TCP connection from
// that address by hand. Prints what the proxy answered to one request, as JSON. Raw frames go
// through socat (AF_PACKET); frames are written one at a time, because a pipe has no bounds.
import { spawn } from 'node:child_process';
import { networkInterfaces } from 'node:os';

type Plan = {
  readonly neighbour: string;
  readonly proxy: string;
  readonly port: number;
  readonly host: string;
};

// The argument is written by the suite.
const plan = JSON.parse(process.argv.at(-1) ?? '{}') as Plan;
const own = networkInterfaces()['eth0']?.find(({ family }) => family === 'IPv4');
const ownHardware = hardware(own?.mac ?? '');
const ownAddress = address(own?.address ?? '');
const neighbour = address(plan.neighbour);
const proxy = address(plan.proxy);
const link = spawn('socat', ['-b', '70000', 'INTERFACE:eth0', '-']);

function address(text: string): Buffer {
  return Buffer.from(text.split('.').map(Number));
}

function hardware(text: string): Buffer {
  return Buffer.from(text.replaceAll(':', ''), 'hex');
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function sendFrame(to: Buffer, type: number, payload: Buffer): Promise<void> {
  const head = Buffer.concat([to, ownHardware, Buffer.from([type >> 8, type & 0xff])]);
  link.stdin.write(Buffer.concat([head, payload]));
  await pause(5);
}

type Arp = {
  readonly operation: 1 | 2;
  readonly from: Buffer;
  readonly to: Buffer;
  readonly at: Buffer;
};

function arp({ operation, from, to, at }: Arp): Promise<void> {
  const fixed = Buffer.from([0, 1, 8, 0, 6, 4, 0, operation]);
  return sendFrame(at, 0x0806, Buffer.concat([fixed, ownHardware, from, at, to]));
}

function sum(parts: readonly Buffer[]): number {
  const all = Buffer.concat(parts);
  let total = 0;
  for (let at = 0; at < all.length; at += 2) {
    total += ((all[at] ?? 0) << 8) + (all[at + 1] ?? 0);
  }
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
  return ~total & 0xffff;
}

const sourcePort = 40_000 + Math.floor(Math.random() * 20_000);
const flags = { syn: 0x02, ack: 0x10, pushed: 0x18 };
let sequence = 1_000;
let acknowledged = 0;
let proxyHardware: Buffer | undefined;

async function segment(kind: keyof typeof flags, payload = Buffer.alloc(0)): Promise<void> {
  const head = Buffer.alloc(20);
  head.writeUInt16BE(sourcePort, 0);
  head.writeUInt16BE(plan.port, 2);
  head.writeUInt32BE(sequence, 4);
  head.writeUInt32BE(acknowledged, 8);
  head.writeUInt8(0x50, 12);
  head.writeUInt8(flags[kind], 13);
  head.writeUInt16BE(64_240, 14);
  const length = Buffer.from([0, 6, 0, 0]);
  length.writeUInt16BE(20 + payload.length, 2);
  head.writeUInt16BE(sum([neighbour, proxy, length, head, payload]), 16);
  const ip = Buffer.from([0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6, 0, 0, ...neighbour, ...proxy]);
  ip.writeUInt16BE(40 + payload.length, 2);
  ip.writeUInt16BE(sum([ip]), 10);
  await sendFrame(proxyHardware ?? Buffer.alloc(6), 0x0800, Buffer.concat([ip, head, payload]));
  sequence += payload.length + (kind === 'syn' ? 1 : 0);
}

let received = Buffer.alloc(0);
let answer = '';
let isOpen = false;
let isReset = false;

/** Length of the frame at the start, 0 while it is not whole. */
function frameLength(): number {
  if (received.length < 42) return 0;
  const type = received.readUInt16BE(12);
  const length = { 0x0800: 14 + received.readUInt16BE(16), 0x86dd: 54 + received.readUInt16BE(18) };
  return (length as Readonly<Record<number, number>>)[type] ?? 42;
}

function takeFrame(frame: Buffer): void {
  const type = frame.readUInt16BE(12);
  if (type === 0x0806 && frame.readUInt16BE(20) === 2) {
    if (frame.subarray(28, 32).equals(proxy)) proxyHardware = Buffer.from(frame.subarray(22, 28));
    return;
  }
  const isTcp = type === 0x0800 && frame[23] === 6;
  if (!isTcp || !frame.subarray(26, 30).equals(proxy)) return;
  const tcp = frame.subarray(34, 14 + frame.readUInt16BE(16));
  if (tcp.readUInt16BE(2) !== sourcePort) return;
  takeSegment(tcp);
}

function takeSegment(tcp: Buffer): void {
  const kind = tcp[13] ?? 0;
  if ((kind & 0x04) !== 0) isReset = true;
  const payload = tcp.subarray(((tcp[12] ?? 0) >> 4) * 4);
  const next = tcp.readUInt32BE(4) + payload.length + ((kind & 0x03) === 0 ? 0 : 1);
  if ((kind & flags.syn) !== 0) isOpen = true;
  else if (tcp.readUInt32BE(4) !== acknowledged) return;
  acknowledged = next;
  answer += payload.toString('latin1');
}

link.stdout.on('data', (chunk: Buffer) => {
  received = Buffer.concat([received, chunk]);
  for (let length = frameLength(); length > 0; length = frameLength()) {
    if (received.length < length) return;
    takeFrame(received.subarray(0, length));
    received = received.subarray(length);
  }
});

async function untilTrue(what: string, isTrue: () => boolean): Promise<void> {
  for (let turn = 0; turn < 100; turn += 1) {
    if (isTrue()) return;
    await pause(20);
  }
  throw new Error(`not within 2 s: ${what}${isReset ? ' (reset)' : ''}`);
}

async function pose(): Promise<void> {
  const everybody = Buffer.alloc(6, 0xff);
  await pause(300);
  await arp({ operation: 1, from: ownAddress, to: proxy, at: everybody });
  await untilTrue('the proxy answers to ARP', () => proxyHardware !== undefined);
  // The kernel takes no new hardware address within a second of the last one.
  for (let turn = 0; turn < 12; turn += 1) {
    await arp({ operation: 2, from: neighbour, to: proxy, at: proxyHardware ?? everybody });
    await pause(250);
  }
  await segment('syn');
  await untilTrue('the proxy takes the connection', () => isOpen);
  await segment('ack');
  const request = `GET / HTTP/1.1\r\nhost: ${plan.host}\r\nconnection: close\r\n\r\n`;
  await segment('pushed', Buffer.from(request));
  await untilTrue('the proxy answers', () => answer.includes('\r\n\r\n'));
}

let why = '';
try {
  await pose();
} catch (error) {
  why = error instanceof Error ? error.message : String(error);
}
link.kill();
process.stdout.write(JSON.stringify({ isOpen, isReset, why, answer }), () => process.exit(0));
