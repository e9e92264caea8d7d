// Asks a DNS server in a pod, which is given by its own name, for the addresses of names, and
// prints what came of it. Questions are paced; every second one has a port of its own, the others
// share one. The messages are written here, because resolvers that learn how fast a server is cut
// what they wait to a quarter of a second, and would tell a stall of the machine as a loss.
import { createSocket, type Socket } from 'node:dgram';
import { lookup } from 'node:dns/promises';

type Plan = {
  readonly server: string;
  readonly count?: number;
  readonly perSecond?: number;
  readonly tries?: number;
  /** Of each try. */
  readonly timeoutMs?: number;
};

// The suite's own words.
const plan = JSON.parse(process.argv[2] ?? '{}') as Plan;
const { server, count = 100, perSecond = 100, tries = 1, timeoutMs = 1_000 } = plan;
const dnsPort = 53;

/** One question for A records (RFC 1035 §4.1); its number in the run is its id. */
function questionOf(id: number): Buffer {
  const labels = [`name-${id}`, 'example'].map((label) =>
    Buffer.concat([Buffer.of(label.length), Buffer.from(label)]),
  );
  const header = Buffer.from([id >> 8, id & 0xff, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
  return Buffer.concat([header, ...labels, Buffer.of(0, 0, 1, 0, 1)]);
}

/** Undefined: it is no answer to a question. */
function readAnswer(message: Buffer): { readonly id: number; readonly fault?: string } | undefined {
  if (message.length < 12 || (message.readUInt8(2) & 0x80) === 0) return undefined;
  const id = message.readUInt16BE(0);
  const code = message.readUInt8(3) & 0xf;
  if (code !== 0) return { id, fault: `code ${code}` };
  return message.readUInt16BE(6) === 0 ? { id, fault: 'no address' } : { id };
}

const waiting = new Map<number, (fault: string | undefined) => void>();

function openSocket(): Socket {
  const socket = createSocket('udp4');
  socket.on('message', (message) => {
    const answer = readAnswer(message);
    if (answer !== undefined) waiting.get(answer.id)?.(answer.fault);
  });
  socket.on('error', () => undefined);
  return socket;
}

async function ask(id: number, socket: Socket, address: string): Promise<string | undefined> {
  for (let left = tries; left > 0; left -= 1) {
    const fault = await new Promise<string | undefined>((resolve) => {
      const timer = setTimeout(() => resolve('timeout'), timeoutMs);
      waiting.set(id, (said) => {
        clearTimeout(timer);
        resolve(said);
      });
      socket.send(questionOf(id), dnsPort, address);
    });
    if (fault !== 'timeout') return fault;
  }
  return 'timeout';
}

const failures = new Map<string, number>();
let answered = 0;
const asked: Promise<void>[] = [];
const { address } = await lookup(server, { family: 4 });
const shared = openSocket();
for (let question = 0; question < count; question += 1) {
  const own = question % 2 === 0 ? openSocket() : undefined;
  asked.push(
    ask(question, own ?? shared, address).then((fault) => {
      own?.close();
      if (fault === undefined) answered += 1;
      else failures.set(fault, (failures.get(fault) ?? 0) + 1);
    }),
  );
  await new Promise((resolve) => setTimeout(resolve, 1_000 / perSecond));
}
await Promise.all(asked);
shared.close();
console.log(JSON.stringify({ answered, failures: Object.fromEntries(failures) }));
