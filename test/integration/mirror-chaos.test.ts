// A mirror that does everything wrong by turns, under clients that do as well, from one seed: every
// original that was sent whole is answered by its own pod, a copy is the whole of one original and
// comes once at most, and nothing is left when it is over.
import type http from 'node:http';
import { afterEach, expect, test } from 'vitest';
import { seededRandom } from '../../src/lib/random.ts';
import { eventually, request } from '../support/dataplane-sockets.ts';
import { copyObjects, MirrorMesh, nowhere } from '../support/mirror-mesh.ts';

const requestsPerRun = 150;
const clientsAtOnce = 8;

let mesh: MirrorMesh;

afterEach(() => mesh.close());

type Answer = (response: http.ServerResponse) => void;

const moods: readonly Answer[] = [
  (response) => response.end('ok'),
  (response) => response.end('x'.repeat(200_000)),
  (response) => response.writeHead(500).end(),
  (response) => response.writeHead(503, { 'retry-after': '1' }).end('no'),
  (response) => response.socket?.destroy(),
  (response) => response.socket?.resetAndDestroy(),
  (response) => {
    response.writeHead(200, { 'content-length': '10' });
    response.write('half', () => response.socket?.destroy());
  },
  () => undefined,
];

/** What the body of request `id` is. */
function bodyOf(id: number, bytes: number): string {
  return `${id}:`.repeat(Math.ceil(bytes / 4) + 1).slice(0, bytes);
}

function chunked(body: string): string {
  if (body === '') return '0\r\n\r\n';
  return `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;
}

class Chaos {
  readonly #random: () => number;
  /** Bodies by request, of all that were sent whole. */
  readonly whole = new Map<string, string>();
  #next = 0;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  below(count: number): number {
    return Math.floor(this.#random() * count);
  }

  /** One client after the other, each with what the seed gives it. */
  async client(): Promise<void> {
    while (this.#next < requestsPerRun) {
      const id = this.#next;
      this.#next += 1;
      if (id % 10 === 5) this.#settle();
      await this.#ask(id);
    }
  }

  /** The mirror and its settings are others from here on. */
  #settle(): void {
    const mood = moods[this.below(moods.length)];
    if (mood !== undefined) mesh.mirror.answer = mood;
    const mirror = ['copy', 'copy@50%', '', 'ghost', 'copy:81'][this.below(5)] ?? 'copy';
    const isThere = this.below(4) > 0;
    const annotations = this.below(2) === 0 ? {} : { 'weft.dev/timeout': '60ms' };
    mesh.settleObjects(
      mirror,
      copyObjects([isThere ? mesh.mirror.endpoint : nowhere], annotations),
    );
  }

  async #ask(id: number): Promise<void> {
    const peer = await mesh.client();
    const body = bodyOf(id, [0, 3, 70_000, 300_000, 1_200_000][this.below(5)] ?? 0);
    const isChunked = this.below(2) === 0;
    const framing = isChunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${body.length}`;
    const text = request(`POST /${id}`, framing) + (isChunked ? chunked(body) : body);
    if (this.below(6) === 0) {
      // Gone in the middle: with the head, or with a part of the body.
      peer.send(text.slice(0, 40 + this.below(text.length - 41)));
      peer.socket.end();
      await peer.closed();
      return;
    }
    this.whole.set(`/${id}`, body);
    const cut = this.below(text.length);
    peer.send(text.slice(0, cut)).send(text.slice(cut));
    await peer.see('\r\n\r\napp');
    expect(peer.text).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    peer.socket.destroy();
  }
}

test.each([1, 7, 42])('a mirror in any mood is nobody’s business (seed %s)', async (seed) => {
  mesh = await MirrorMesh.start();
  const chaos = new Chaos(seed);
  await Promise.all(Array.from({ length: clientsAtOnce }, () => chaos.client()));
  mesh.mirror.answer = (response) => response.end();
  await eventually(() => mesh.harness.dataplane.state().mirrors.copies === 0, 'all copies ended');
  const answered = mesh.exchanges.filter(({ status }) => status === 200);
  expect(answered.length).toBe(chaos.whole.size);
  expect(mesh.mirror.got.length).toBeGreaterThan(0);
  const copied = mesh.mirror.got.map(({ url }) => url);
  expect(new Set(copied).size).toBe(copied.length);
  for (const { url, body } of mesh.mirror.got) expect(body === chaos.whole.get(url)).toBe(true);
});
