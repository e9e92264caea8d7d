// The real `coredns` program from PATH or KUBEBUILDER_ASSETS, as a child with a Corefile in a
// directory of its own. It ends only what it started.
import { spawn, type ChildProcess } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { existsSync, mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { dnsQuery, readReply, type DnsReply } from '../../support/dns-message.ts';
import { until } from './until.ts';

const assets = process.env['KUBEBUILDER_ASSETS'] ?? '';

/** `undefined` where there is none: the envtest binaries do not include it. */
export function findCoreDns(): string | undefined {
  const places = [assets, ...(process.env['PATH'] ?? '').split(delimiter)];
  return places.map((place) => join(place, 'coredns')).find((file) => existsSync(file));
}

export class CoreDns {
  readonly #directory = mkdtempSync(join(tmpdir(), 'weft-coredns-'));
  readonly #child: ChildProcess;
  #said = '';

  /** Files by their path; `Corefile` is the one that is loaded. `port`: of keys that name none. */
  constructor(program: string, files: Readonly<Record<string, string>>, port: number) {
    mkdirSync(join(this.#directory, 'custom'));
    for (const [path, text] of Object.entries(files)) this.write(path, text);
    const args = ['-conf', join(this.#directory, 'Corefile'), '-dns.port', String(port)];
    this.#child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on('data', (data: Buffer) => {
        this.#said += data.toString();
      });
    }
  }

  write(path: string, text: string): void {
    writeFileSync(join(this.#directory, path), text);
  }

  get said(): string {
    return this.#said;
  }

  /** The banner comes when every server listens; a Corefile that it refuses ends it. */
  async loaded(): Promise<void> {
    await until('CoreDNS is up', () => {
      if (this.#child.exitCode !== null) throw new Error(`CoreDNS ended: ${this.#said}`);
      return /^CoreDNS-\d/m.test(this.#said) || undefined;
    });
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode === null) {
      const ended = new Promise((resolve) => this.#child.once('exit', resolve));
      this.#child.kill('SIGKILL');
      await ended;
    }
    rmSync(this.#directory, { recursive: true });
  }
}

export type Question = {
  readonly name: string;
  readonly type?: number;
  readonly address?: string;
  readonly port?: number;
};

/** Asks until an answer comes: the first question may meet a server that is just opening. */
export async function ask(question: Question): Promise<DnsReply> {
  const { name, type = 1, address = '127.0.0.1', port = 1053 } = question;
  const socket = createSocket('udp4');
  socket.on('error', () => undefined);
  let reply: DnsReply | undefined;
  socket.on('message', (data) => {
    reply ??= readReply(data);
  });
  let asked = 0;
  try {
    await until(`an answer about ${name}`, () => {
      asked += 1;
      if (asked % 200 === 1) socket.send(dnsQuery({ name, type }), port, address, () => undefined);
      return reply !== undefined || undefined;
    });
  } finally {
    socket.close();
  }
  if (reply === undefined) throw new Error('no reply');
  return reply;
}
