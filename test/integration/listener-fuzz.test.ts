// Hostile bytes on a listener and from a pod, through the running data plane: whatever arrives, the
// worker lives on, has no bug to report, leaks nothing, and the well-behaved client beside it gets
// its answers. `WEFT_FUZZ_SECONDS` lengthens it, `WEFT_FUZZ_SEED` repeats a run.
import net from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { seededRandom } from '../../src/lib/random.ts';
import { cutPositions, mutate, pick, seedsOf } from '../fuzz/http1-mutations.ts';
import { startHarness } from '../support/dataplane-harness.ts';
import { connectTo, type Peer } from '../support/dataplane-sockets.ts';

const seconds = Number(process.env['WEFT_FUZZ_SECONDS'] ?? 3);
const seed = Number(process.env['WEFT_FUZZ_SEED'] ?? 20261121);
const lanes = 8;

const open: (() => void)[] = [];
afterEach(() => {
  for (const close of open.splice(0)) close();
});

/** A pod that answers well when asked for `/well`, and with mutated bytes otherwise. */
async function hostilePod(random: () => number): Promise<{ address: string; port: number }> {
  const answers = seedsOf('response');
  const server = net.createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (data) => {
      if (data.toString('latin1').startsWith('GET /well ')) {
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwell');
        return;
      }
      const bytes = mutate(pick(answers, random), random);
      socket.write(bytes, 'latin1');
      if (random() < 0.3) socket.end();
      else if (random() < 0.2) socket.resetAndDestroy();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  open.push(() => server.close());
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return { address: '127.0.0.1', port: address.port };
}

async function attack(port: number, bytes: string, random: () => number): Promise<void> {
  const peer = await connectTo(port).catch(() => undefined);
  if (peer === undefined) return;
  const cuts = [0, ...cutPositions(bytes, random), bytes.length];
  for (let part = 1; part < cuts.length; part += 1) {
    peer.send(bytes.slice(cuts[part - 1], cuts[part]));
    await new Promise((resolve) => setImmediate(resolve));
  }
  const ending = random();
  if (ending < 0.4) peer.end();
  if (ending > 0.8) peer.reset();
  else await settled(peer);
  peer.socket.destroy();
}

/** An answer, an end, or ten turns of the loop: a fuzzer does not wait for time-outs. */
async function settled(peer: Peer): Promise<void> {
  for (let turn = 0; turn < 10 && peer.text === '' && !peer.hasEnded; turn += 1) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Sockets tell their end in a later turn of the loop. */
async function allClosed(connections: () => number): Promise<void> {
  for (let turn = 0; turn < 1_000 && connections() > 0; turn += 1) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test(
  `hostile bytes for ${seconds} s harm nobody (seed ${seed})`,
  async () => {
    const random = seededRandom(seed);
    const pod = await hostilePod(random);
    const mesh = await startHarness({ endpoints: [pod], limits: { idleTimeoutMs: 500 } });
    const seeds = seedsOf('request').map((text) => text.replaceAll('echo.test', 'h1.t.mesh'));
    const deadline = Date.now() + seconds * 1_000;
    let attacks = 0;
    const lane = async (): Promise<void> => {
      while (Date.now() < deadline) {
        attacks += 1;
        await attack(mesh.port, mutate(pick(seeds, random), random), random);
      }
    };
    const innocent = async (): Promise<number> => {
      let answered = 0;
      while (Date.now() < deadline) {
        const peer = await connectTo(mesh.port);
        peer.send('GET /well HTTP/1.1\r\nHost: h1.t.mesh\r\nConnection: close\r\n\r\n');
        const text = await peer.closed();
        // Connections to the pod are shared with attackers' exchanges only after whole answers.
        expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*well$/);
        peer.socket.destroy();
        answered += 1;
      }
      return answered;
    };
    const [answered] = await Promise.all([innocent(), ...Array.from({ length: lanes }, lane)]);
    expect(answered).toBeGreaterThan(10);
    expect(attacks).toBeGreaterThan(100);
    expect(mesh.bugs).toEqual([]);
    mesh.dataplane.close();
    await allClosed(() => mesh.dataplane.state().connections);
    expect(mesh.dataplane.state()).toMatchObject({
      connections: 0,
      exchanges: 0,
      bufferedBytes: 0,
    });
    expect(mesh.inFlight()).toBe(0);
  },
  (seconds + 60) * 1_000,
);
