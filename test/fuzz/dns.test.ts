// Hostile bytes on the DNS port: nothing throws, nothing is longer than its limit, and every reply
// can be read by an independent reader. One seed; a failure prints the bytes.
import { expect, test } from 'vitest';
import { answerQuery, buildZone } from '../../src/dns/index.ts';
import { seededRandom } from '../../src/lib/random.ts';
import { dnsQuery, readReply } from '../support/dns-message.ts';
import { meshSection, serviceSection } from '../support/sections.ts';

const addresses = Array.from({ length: 60 }, (_, at) => (at % 2 ? `10.0.0.${at}` : `fd00::${at}`));
const zone = buildZone([meshSection({ addresses }), serviceSection('shop/web')]);
const names = ['web.shop.mesh', 'shop.mesh', 'mesh', 'no.shop.mesh', 'a.b', ''];

function check(message: Uint8Array, transport: 'udp' | 'tcp'): string {
  const answer = answerQuery(message, zone, transport);
  if (answer === undefined) return 'dropped';
  if (answer.length > (transport === 'udp' ? 1232 : 65_535)) throw new Error('too long');
  const reply = readReply(answer);
  if (reply.trailing !== 0) throw new Error('bytes that no count speaks of');
  return reply.code;
}

function checked(message: Uint8Array, transport: 'udp' | 'tcp'): string {
  try {
    return check(message, transport);
  } catch (error) {
    throw new Error(`query ${Buffer.from(message).toString('hex')}`, { cause: error });
  }
}

test('random bytes and bent queries are answered or dropped (seed 31)', () => {
  const random = seededRandom(31);
  const below = (limit: number): number => Math.floor(random() * limit);
  const seen = new Map<string, number>();
  for (let round = 0; round < 60_000; round += 1) {
    const isRandom = round % 4 === 0;
    const edns = random() < 0.5 ? { edns: { payload: below(65_536) } } : {};
    const types = [1, 28, 255, 6, below(65_536)];
    const query = { name: names[below(names.length)] ?? '', type: types[below(5)] ?? 1, ...edns };
    const message = isRandom
      ? Uint8Array.from({ length: below(80) }, () => below(256))
      : dnsQuery(query);
    for (let bend = below(4); bend > 0 && message.length > 0; bend -= 1) {
      message[below(message.length)] = below(256);
    }
    const cut = random() < 0.2 ? message.subarray(0, below(message.length + 1)) : message;
    const outcome = checked(cut, round % 2 === 0 ? 'udp' : 'tcp');
    seen.set(outcome, (seen.get(outcome) ?? 0) + 1);
  }
  // The generator reaches every outcome, else it proves nothing.
  const outcomes = ['FORMERR', 'NOERROR', 'NOTIMP', 'NXDOMAIN', 'REFUSED', 'dropped'];
  expect([...seen.keys()].filter((one) => outcomes.includes(one)).sort()).toEqual(outcomes);
});
