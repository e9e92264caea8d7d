// Every protocol a service speaks, on the same node and across nodes, where everything between
// nodes has to be in a tunnel: gRPC with a canary split and permissions per method, a TCP protocol
// whose server speaks first, datagrams, WebSocket, server-sent events. Then the app and all proxies
// are replaced while somebody talks.
import { beforeAll, describe, expect, test } from 'vitest';
import {
  chatHost,
  createChat,
  grpcUrl,
  startTalk,
  talk,
  talkerOn,
  talkOnce,
  type Heard,
} from './support/chat.ts';
import { meshNamespace, proxies, rolledOut } from './support/cluster.ts';
import { kubectl } from './support/kubectl.ts';
import { pause } from './support/load-everywhere.ts';
import { until } from './support/until.ts';
import { twoNodes } from './support/vault.ts';

const say = { kind: 'grpc', url: grpcUrl, path: '/chat.Chat/Say', messages: ['hello'] };
const greeting = { kind: 'tcp', host: chatHost, port: 6000, lines: 3 };
const echo = { kind: 'udp', host: chatHost, port: 5300, times: 5 };
/** Chi-square with one degree of freedom: more than this is chance once in 1000 times. */
const chiSquareMax = 10.83;

let nodes: Awaited<ReturnType<typeof twoNodes>>;

/** Words of one pod, whichever version it is. */
function wordsOf({ texts }: Heard): readonly string[] {
  return texts.map((text) => text.replace(/chat-v[12]( chat-v[12]-\S+)?/, 'chat'));
}

beforeAll(async () => {
  nodes = await twoNodes();
  await createChat();
  // Each replica of CoreDNS, and each proxy, learns of a service in its own time.
  for (const node of [nodes.home, nodes.far]) {
    await until(
      `a friend on ${node} is heard`,
      async () => {
        const all = await talk(talkerOn('friend', node), [{ ...say, times: 4 }, greeting, echo]);
        const isHeard = all.every(({ status, error }) => error === '' && status !== '14');
        if (!isHeard) throw new Error(JSON.stringify(all));
        return true;
      },
      90_000,
    );
  }
}, 300_000);

describe.each(['home', 'far'] as const)('from the %s node', (where) => {
  test('gRPC calls are answered, in the shares of the split', async () => {
    const heard = await talk(talkerOn('friend', nodes[where]), [{ ...say, times: 400 }]);
    expect(heard.filter(({ status }) => status !== '0')).toEqual([]);
    const ofV2 = heard.filter(({ texts }) => texts[0]?.startsWith('chat-v2 ')).length;
    const [expected, sum] = [0.2 * heard.length, heard.length];
    expect(
      (ofV2 - expected) ** 2 / expected + (expected - ofV2) ** 2 / (sum - expected),
    ).toBeLessThan(chiSquareMax);
  });

  test('a stream of messages comes whole and in order', async () => {
    const counted = { ...say, path: '/chat.Chat/Count', messages: ['500'] };
    const heard = await talkOnce(talkerOn('friend', nodes[where]), counted);
    expect(heard.status).toBe('0');
    expect(heard.texts).toEqual(Array.from({ length: 500 }, (_, index) => `${index}`));
  });

  test('a method that no TrafficTarget names is denied, and so is a stranger', async () => {
    const talked = { ...say, path: '/chat.Chat/Talk' };
    expect((await talkOnce(talkerOn('friend', nodes[where]), talked)).status).toBe('7');
    expect((await talkOnce(talkerOn('stranger', nodes[where]), say)).status).toBe('7');
  });

  test('TCP whose server speaks first is for who may call, and reset for others', async () => {
    const friend = await talkOnce(talkerOn('friend', nodes[where]), greeting);
    expect(friend.error).toBe('');
    expect(wordsOf(friend)).toEqual(['welcome to chat', 'line 1', 'line 2', 'line 3']);
    const stranger = await talkOnce(talkerOn('stranger', nodes[where]), greeting);
    expect(stranger).toMatchObject({ texts: [], error: 'ECONNRESET' });
  });

  test('datagrams are echoed to who may send them, and to nobody else', async () => {
    const friend = await talkOnce(talkerOn('friend', nodes[where]), echo);
    expect(wordsOf(friend)).toEqual([0, 1, 2, 3, 4].map((index) => `chat datagram ${index}`));
    const stranger = await talkOnce(talkerOn('stranger', nodes[where]), { ...echo, times: 1 });
    expect(stranger.texts).toEqual([]);
  });

  test('a WebSocket chat goes both ways', async () => {
    const chat = { kind: 'websocket', url: `ws://${chatHost}/socket`, texts: ['one', 'two'] };
    expect(wordsOf(await talkOnce(talkerOn('friend', nodes[where]), chat))).toEqual([
      'chat one',
      'chat two',
    ]);
  });

  test('events arrive as they are sent', async () => {
    const events = { kind: 'events', url: `http://${chatHost}/events`, count: 5 };
    const heard = await talkOnce(talkerOn('friend', nodes[where]), events);
    expect(heard.texts).toHaveLength(5);
    // Held back until the next one, each would be 200 ms late.
    expect(Math.min(...(heard.delaysMs ?? []))).toBeLessThan(100);
  });
});

describe('while somebody talks', () => {
  const load = { kind: 'grpc-load', url: grpcUrl, perSecond: 40 };
  const held = { kind: 'tcp-hold', host: chatHost, port: 6000 };

  test('the app is replaced, and no call is lost', async () => {
    const loads = await Promise.all(
      [nodes.home, nodes.far].map((node) => startTalk(talkerOn('friend', node), load)),
    );
    for (const name of ['chat-v1', 'chat-v2']) {
      await kubectl(['-n', 'chat', 'rollout', 'restart', `deployment/${name}`]);
      await rolledOut('chat', `deployment/${name}`);
    }
    await pause(2_000);
    for (const { texts, sent } of await Promise.all(loads.map((one) => one.stop()))) {
      expect(texts).toEqual([]);
      expect(sent).toBeGreaterThan(100);
    }
  }, 240_000);

  test('all proxies are replaced: no call is lost, TCP lives until the drain ends', async () => {
    const friend = talkerOn('friend', nodes.far);
    const [calls, line] = await Promise.all([startTalk(friend, load), startTalk(friend, held)]);
    const fromMs = Date.now();
    await kubectl(['-n', meshNamespace, 'rollout', 'restart', 'daemonset/weft-proxy']);
    await rolledOut(meshNamespace, 'daemonset/weft-proxy');
    await proxies(90_000);
    await pause(1_000);
    const [called, spoken] = await Promise.all([calls.stop(), line.stop()]);
    console.log(`calls ${called.sent}, echoes ${spoken.sent} in ${Date.now() - fromMs} ms`);
    expect(called.texts).toEqual([]);
    expect(called.sent).toBeGreaterThan(300);
    expect(spoken.sent).toBeGreaterThan(10);
  }, 240_000);
});
