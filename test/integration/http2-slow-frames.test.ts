// A body that comes slowly is no frame that comes slowly: DATA is passed on piece by piece, and its
// stream has time-outs of its own, so the time of heads does not run for it.
import { afterEach, expect, test } from 'vitest';
import { startHarness } from '../support/dataplane-harness.ts';
import type { Harness } from '../support/dataplane-harness.ts';
import { connectTo, eventually, okAnswer, RawUpstream } from '../support/dataplane-sockets.ts';
import { beginRaw, blockText, frameText, framesOf, getFields } from '../support/http2-client.ts';

let upstream: RawUpstream;
let harness: Harness;

afterEach(async () => {
  const { dataplane } = harness;
  await eventually(() => dataplane.state().connections === 0, 'all connections closed');
  expect(dataplane.state()).toMatchObject({ exchanges: 0, bufferedBytes: 0 });
  expect(harness.bugs).toEqual([]);
  dataplane.close();
  upstream.close();
});

test('one DATA frame may take longer than a head may', async () => {
  upstream = await RawUpstream.start();
  harness = await startHarness({
    endpoints: [upstream.endpoint],
    limits: { headTimeoutMs: 100, keepAliveTimeoutMs: 60_000 },
  });
  const slow = beginRaw(await connectTo(harness.port));
  const post = blockText([[':method', 'POST'], ...getFields.slice(1)]);
  const data = frameText(0, 1, 1, 'abcdef');
  slow.send(frameText(1, 4, 1, post) + data.slice(0, 10));
  const pod = await upstream.accept();
  await pod.see('\r\na');
  for (const at of [10, 11, 12]) {
    // Who begins later and says nothing ends first.
    const silent = await connectTo(harness.port);
    await silent.closed();
    silent.socket.destroy();
    slow.send(data.slice(at, at + 1));
    await pod.see(`\r\n${data[at]}`);
  }
  slow.send(data.slice(13));
  await pod.see('0\r\n\r\n');
  pod.send(okAnswer('got it'));
  await slow.until(() => framesOf(slow.text).some(({ type }) => type === 0), 'the answer');
  expect(framesOf(slow.text).some(({ type }) => type === 7)).toBe(false);
  slow.socket.destroy();
});
