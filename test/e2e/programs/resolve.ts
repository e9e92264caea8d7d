// Resolves names in a pod, with the resolver of Node (c-ares: a new port for each question), at a
// DNS server that is given by its own name, and prints what came of it. Questions are paced, and
// asked as often as a resolver would.
import { lookup, Resolver } from 'node:dns/promises';

type Plan = {
  readonly server: string;
  readonly count?: number;
  readonly perSecond?: number;
  readonly tries?: number;
  readonly timeoutMs?: number;
};

// The suite's own words.
const plan = JSON.parse(process.argv[2] ?? '{}') as Plan;
const { server, count = 100, perSecond = 100, tries = 1, timeoutMs = 1_000 } = plan;

const failures = new Map<string, number>();
let answered = 0;
const asked: Promise<void>[] = [];
const { address } = await lookup(server, { family: 4 });
const resolver = new Resolver({ timeout: timeoutMs, tries });
resolver.setServers([address]);
for (let question = 0; question < count; question += 1) {
  asked.push(
    resolver.resolve4(`name-${question}.example`).then(
      () => {
        answered += 1;
      },
      (error: NodeJS.ErrnoException) => {
        const code = error.code ?? 'unknown';
        failures.set(code, (failures.get(code) ?? 0) + 1);
      },
    ),
  );
  await new Promise((resolve) => setTimeout(resolve, 1_000 / perSecond));
}
await Promise.all(asked);
console.log(JSON.stringify({ answered, failures: Object.fromEntries(failures) }));
