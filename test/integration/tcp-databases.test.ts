// Real databases and their own clients through the data plane: servers that speak first, TLS passed
// through untouched, many connections. A database that is not on PATH has no tests here, and so
// none that passes.
import { execFile, execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { accessSync, chmodSync, chownSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectTo, eventually, freePort } from '../support/dataplane-sockets.ts';
import { startTcpHarness, type TcpHarness } from '../support/tcp-mesh.ts';

const databases = [
  { name: 'Redis', needs: ['redis-server', 'redis-cli'] },
  { name: 'PostgreSQL', needs: ['initdb', 'postgres', 'psql', 'openssl'] },
] as const;

const address = '127.0.0.2';

function isThere(program: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program));
      return true;
    } catch {
      return false;
    }
  });
}

const found = databases.filter(({ needs }) => needs.every(isThere)).map(({ name }) => name);

test(`databases on PATH: ${found.join(', ') || 'none'}`, () => {
  expect(databases.length).toBeGreaterThanOrEqual(found.length);
});

/** PostgreSQL does not run as root; these ids are nobody's on any system. */
const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};

type Running = { readonly child: ChildProcess; readonly folder: string; readonly port: number };

function folderOf(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `weft-${name}-`));
  chmodSync(folder, 0o700);
  if (nobody.uid !== undefined) chownSync(folder, nobody.uid, nobody.gid);
  return folder;
}

async function run(program: string, folder: string, args: readonly string[], port: number) {
  const child = spawn(program, args, { ...nobody, cwd: folder, stdio: 'ignore' });
  const started = { child, folder, port };
  let isUp = false;
  const look = (): void => {
    connectTo(port, address).then(
      (peer) => {
        peer.socket.destroy();
        isUp = true;
      },
      () => setTimeout(look, 50),
    );
  };
  look();
  await eventually(() => isUp, `${program} answers`);
  return started;
}

async function stop({ child, folder }: Running): Promise<void> {
  const gone = new Promise((done) => child.once('exit', done));
  if (child.exitCode === null) {
    child.kill('SIGINT');
    await gone;
  }
  rmSync(folder, { recursive: true, force: true });
}

type Said = { readonly out: string; readonly error: string };

function ask(program: string, args: readonly string[], input?: string): Promise<Said> {
  return new Promise((done) => {
    const options = { timeout: 20_000, maxBuffer: 64 * 1024 * 1024 };
    const child = execFile(program, args, options, (_, out, error) => done({ out, error }));
    child.stdin?.end(input ?? '');
  });
}

describe.each(found.filter((name) => name === 'Redis'))('%s', () => {
  let server: Running;
  let harness: TcpHarness;

  beforeAll(async () => {
    const port = await freePort(address);
    const folder = folderOf('redis');
    const flags = ['--save', '', '--appendonly', 'no', '--protected-mode', 'no'];
    const args = ['--port', String(port), '--bind', address, '--dir', folder, ...flags];
    server = await run('redis-server', folder, args, port);
    harness = await startTcpHarness({ endpoints: { db: [{ address, port }] } });
  });

  afterAll(async () => {
    await harness.expectQuiet();
    await stop(server);
  });

  const cli = (...args: string[]): Promise<Said> =>
    ask('redis-cli', ['-h', '127.0.0.1', '-p', String(harness.port), ...args]);

  test('answers commands', async () => {
    expect((await cli('SET', 'key', 'value')).out).toBe('OK\n');
    expect((await cli('GET', 'key')).out).toBe('value\n');
  });

  test('takes and gives a value of 16 MB', async () => {
    const value = 'x'.repeat(16 * 1024 * 1024);
    const where = ['-h', '127.0.0.1', '-p', String(harness.port)];
    expect((await ask('redis-cli', [...where, '-x', 'SET', 'long'], value)).out).toBe('OK\n');
    expect((await cli('STRLEN', 'long')).out).toBe(`${value.length}\n`);
    expect((await cli('GET', 'long')).out.length).toBe(value.length + 1);
  });
});

describe.each(found.filter((name) => name === 'PostgreSQL'))('%s', () => {
  let server: Running;
  let harness: TcpHarness;

  beforeAll(async () => {
    const port = await freePort(address);
    const folder = folderOf('postgres');
    const data = join(folder, 'data');
    const asOwner = { ...nobody, cwd: folder, stdio: 'ignore' } as const;
    execFileSync('initdb', ['-D', data, '-U', 'weft', '-A', 'trust', '--no-sync'], asOwner);
    const subject = ['-subj', '/CN=db', '-days', '1', '-nodes', '-newkey', 'rsa:2048'];
    const files = ['-keyout', join(data, 'server.key'), '-out', join(data, 'server.crt')];
    execFileSync('openssl', ['req', '-x509', ...subject, ...files], asOwner);
    const settings = [`listen_addresses=${address}`, 'ssl=on', 'fsync=off'];
    const flags = [...settings, `unix_socket_directories=${folder}`].flatMap((one) => ['-c', one]);
    server = await run('postgres', folder, ['-D', data, '-p', String(port), ...flags], port);
    harness = await startTcpHarness({ endpoints: { db: [{ address, port }] } });
  }, 60_000);

  afterAll(async () => {
    await harness.expectQuiet();
    await stop(server);
  });

  const sql = (statement: string, mode: string): Promise<Said> => {
    const at = `host=127.0.0.1 port=${harness.port} user=weft dbname=postgres sslmode=${mode}`;
    return ask('psql', [at, '-X', '-At', '-c', statement]);
  };

  test.each(['disable', 'require'])('answers statements with sslmode %s', async (mode) => {
    await eventuallyReady();
    const isSecured = 'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()';
    expect((await sql(isSecured, mode)).out).toBe(mode === 'require' ? 't\n' : 'f\n');
    const sum = 'SELECT sum(n) FROM generate_series(1, 100000) AS n';
    expect((await sql(sum, mode)).out).toBe('5000050000\n');
  });

  test('gives a result of 16 MB', async () => {
    await eventuallyReady();
    const rows = "SELECT repeat('x', 1048576) FROM generate_series(1, 16)";
    expect((await sql(rows, 'disable')).out.length).toBe(16 * 1_048_577);
  });

  test('an error of its own reaches its client, and is none of ours', async () => {
    await eventuallyReady();
    expect((await sql('SELECT nothing', 'disable')).error).toContain('does not exist');
    expect(harness.ended.every(({ reason }) => reason === undefined)).toBe(true);
  });

  /** It takes connections before it takes statements. */
  async function eventuallyReady(): Promise<void> {
    for (;;) if ((await sql('SELECT 1', 'disable')).out === '1\n') return;
  }
});
