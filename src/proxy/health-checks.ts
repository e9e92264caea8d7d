// The active checks of a proxy (`weft.dev/health-check`), on its control thread: each pod of this
// node whose Service asks for it is checked at its interval, beginning at a random moment of the
// first one, and its state is written where all workers look (telemetry/health-cells.ts). Checks
// never overlap themselves, and so many are under way at most; the others wait their turn. State is
// kept over changes of anything else, and forgotten with the endpoint or the annotation.
import { addressFamily } from '../lib/address.ts';
import type { Clock, Random, Runtime, Timer, Timers } from '../lib/clock.ts';
import type { Network } from '../lib/network.ts';
import type { NodePart, Snapshot } from '../snapshot/index.ts';
import type { HealthCells, Log, SlotAllocator } from '../telemetry/index.ts';
import { afterCheck, checkTargets, isSameCheck, nextCheckMs } from './health-plan.ts';
import { unknownHealth } from './health-plan.ts';
import type { CheckTarget, Health } from './health-plan.ts';
import { probeHealth } from './health-probe.ts';
import type { ProxySettings } from './settings.ts';

/** Checks under way at once: a hundred pods that all hang must not cost more descriptors. */
const underWayMax = 32;

export type HealthChecksOptions = {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly log: Log;
  /** Of an endpoint's id; undefined: it has no slot. */
  readonly cellsOf: (id: string) => HealthCells | undefined;
  /** Tells once how it went; what it returns stops it untold. */
  readonly probe: (target: CheckTarget, told: (hasPassed: boolean) => void) => () => void;
};

type Check = {
  target: CheckTarget;
  readonly cells: HealthCells;
  health: Health;
  /** While it waits for its time, and while it is under way. */
  timer: Timer | undefined;
  stop: (() => void) | undefined;
  startedMs: number;
};

export type HealthSample = {
  readonly labels: {
    readonly destination_namespace: string;
    readonly destination_service: string;
  };
  readonly value: number;
};

export class HealthChecks {
  readonly #options: HealthChecksOptions;
  readonly #checks = new Map<string, Check>();
  /** Their time has come, and too many are under way. */
  readonly #waiting = new Set<Check>();
  #underWay = 0;

  constructor(options: HealthChecksOptions) {
    this.#options = options;
  }

  /** Checks the pods of this node in `snapshot`, and no others. Slots follow it before. */
  follow(snapshot: Pick<Snapshot, 'sections'>, node: NodePart): void {
    const wanted = new Map(checkTargets(snapshot, node));
    for (const [id, check] of this.#checks) {
      const target = wanted.get(id);
      const isKept = target !== undefined && isSameCheck(target, check.target)
        && this.#options.cellsOf(id)?.offset === check.cells.offset;
      if (!isKept) {
        this.#remove(id, check);
        continue;
      }
      check.target = target;
      wanted.delete(id);
    }
    for (const target of wanted.values()) this.#add(target);
  }

  /** Of `weft_endpoints_checked_out`: pods of this node, by Service. */
  samples(): readonly HealthSample[] {
    const counts = new Map<string, { labels: HealthSample['labels']; value: number }>();
    for (const { target, health } of this.#checks.values()) {
      const { namespace, service } = target;
      const labels = { destination_namespace: namespace, destination_service: service };
      const count = counts.get(`${namespace}/${service}`) ?? { labels, value: 0 };
      const value = count.value + (health.isOut ? 1 : 0);
      counts.set(`${namespace}/${service}`, { labels, value });
    }
    return [...counts.values()];
  }

  close(): void {
    for (const [id, check] of this.#checks) this.#remove(id, check);
  }

  #add(target: CheckTarget): void {
    const { cellsOf, random } = this.#options;
    const cells = cellsOf(target.id);
    if (cells === undefined) return;
    const check: Check = {
      ...{ target, cells, health: unknownHealth },
      ...{ timer: undefined, stop: undefined, startedMs: 0 },
    };
    this.#checks.set(target.id, check);
    this.#wait(check, target.rule.everyMs * random());
  }

  #remove(id: string, check: Check): void {
    check.timer?.cancel();
    this.#waiting.delete(check);
    this.#checks.delete(id);
    check.cells.forget();
    if (check.stop === undefined) return;
    check.stop();
    this.#ended(check);
  }

  #wait(check: Check, delayMs: number): void {
    check.timer = this.#options.timers.after(delayMs, () => {
      check.timer = undefined;
      if (this.#underWay < underWayMax) this.#begin(check);
      else this.#waiting.add(check);
    });
  }

  #begin(check: Check): void {
    this.#underWay += 1;
    check.startedMs = this.#options.clock.nowMs();
    check.stop = this.#options.probe(check.target, (hasPassed) => {
      this.#ended(check);
      this.#note(check, hasPassed);
      const { rule } = check.target;
      const dueMs = check.startedMs + nextCheckMs(rule, this.#options.random());
      this.#wait(check, Math.max(0, dueMs - this.#options.clock.nowMs()));
    });
  }

  /** It is not under way any more; the next one may be. */
  #ended(check: Check): void {
    check.stop = undefined;
    this.#underWay -= 1;
    const [next] = this.#waiting;
    if (next === undefined) return;
    this.#waiting.delete(next);
    this.#begin(next);
  }

  #note(check: Check, hasPassed: boolean): void {
    const { target, cells, health } = check;
    check.health = afterCheck(health, hasPassed);
    if (hasPassed) cells.takeIn(this.#options.clock.wallMs());
    else if (check.health.isOut) cells.putOut();
    if (check.health.isOut === health.isOut) return;
    const service = `${target.namespace}/${target.service}`;
    const state = check.health.isOut ? 'out' : 'in';
    this.#options.log.warn('health check changed', { service, endpoint: target.id, state });
  }
}

export type StartOptions = {
  readonly runtime: Runtime;
  readonly log: Log;
  readonly network: Network;
  readonly settings: Pick<ProxySettings, 'bindAddresses'>;
  readonly slots: SlotAllocator;
};

/** The same over real sockets; a proxy with addresses of its own asks from them. */
export function startHealthChecks(options: StartOptions): HealthChecks {
  const { runtime, log, network, settings, slots } = options;
  const { timers } = runtime;
  return new HealthChecks({
    ...runtime,
    log,
    cellsOf: (id) => slots.health(id),
    probe: (target, told) => {
      const family = addressFamily(target.address);
      const localAddress = settings.bindAddresses.find((own) => addressFamily(own) === family);
      return probeHealth({ network, timers, localAddress }, target, told);
    },
  });
}
