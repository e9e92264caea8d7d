// Calls of both versions to pods of HTTP/2 that end in every way at once – answered, refused,
// reset, cut by either side, stalled – leave nothing: no exchange, stream, buffer or deadline.
import { expect, test } from 'vitest';
import { seededRandom } from '../../src/lib/random.ts';
import { startHarness } from '../support/dataplane-harness.ts';
import { connectTo, eventually, request } from '../support/dataplane-sockets.ts';
import { Http2Caller } from '../support/http2-client.ts';
import { Http2Pod } from '../support/http2-pod.ts';
import type { PodCall } from '../support/http2-pod.ts';

const calls = 400;
const body = 'b'.repeat(70_000);

/** What a pod does with a call. */
function answerSomehow(call: PodCall, chance: number): void {
  const { stream } = call;
  if (stream.closed || stream.destroyed) return;
  if (chance < 0.4) call.answer(body, {}, chance < 0.2 ? { 'grpc-status': '0' } : undefined);
  else if (chance < 0.5) stream.close(7);
  else if (chance < 0.6) stream.close(2);
  else if (chance < 0.7) {
    stream.respond({ ':status': 200 });
    stream.write(body);
    stream.close(8);
  } else if (chance < 0.72) stream.session?.destroy();
  else if (chance < 0.74) stream.session?.close();
  else if (chance < 0.9) stream.respond({ ':status': 204 }, { endStream: true });
  // Others hear nothing, until their client has had enough.
}

test('calls that end in every way leave nothing behind', { timeout: 60_000 }, async () => {
  const random = seededRandom(11);
  const pods = await Promise.all([Http2Pod.start(), Http2Pod.start({ maxConcurrentStreams: 5 })]);
  const endpoints = pods.map(({ endpoint }) => endpoint);
  const harness = await startHarness({ endpoints, scheme: 'h2c' });
  for (const pod of pods) {
    const next = (): void => {
      void pod.accept().then((call) => {
        answerSomehow(call, random());
        next();
      });
    };
    next();
  }
  const caller = new Http2Caller(harness.port);
  for (let index = 0; index < calls; index += 1) {
    const method = random() < 0.5 ? 'GET' : 'POST';
    if (random() < 0.3) {
      const peer = await connectTo(harness.port);
      const length = method === 'POST' ? [`Content-Length: ${body.length}`] : [];
      peer.send(request(`${method} /`, ...length) + (method === 'POST' ? body : ''));
      // A client that is not read from is seen to have gone by its reset only.
      setTimeout(() => peer.reset(), random() * 300);
    } else {
      const call = caller.open({ ':method': method, ':path': '/' });
      if (method === 'POST') call.send(body);
      if (random() < 0.8) call.end();
      setTimeout(() => call.stream.close(8), random() * 300);
    }
    if (index % 20 === 0) await new Promise((done) => setImmediate(done));
  }
  const { dataplane } = harness;
  await eventually(() => dataplane.state().exchanges === 0, 'all exchanges are over');
  const isResting = (): boolean => {
    const { upstreamOpen, upstreamIdle } = dataplane.state();
    return upstreamOpen === upstreamIdle;
  };
  await eventually(isResting, 'no stream to a pod is left');
  caller.session.destroy();
  await eventually(() => dataplane.state().connections === 0, 'all connections are closed');
  expect(dataplane.state().bufferedBytes).toBe(0);
  expect(harness.inFlight()).toBe(0);
  expect(harness.bugs).toEqual([]);
  dataplane.close();
  for (const pod of pods) pod.close();
  const { deadlines, upstreamOpen, bodyBuffers } = dataplane.state();
  expect([deadlines, upstreamOpen, bodyBuffers]).toEqual([0, 0, 0]);
});
