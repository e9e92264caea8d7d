// A steady load of GETs and POSTs through every node's proxy, on new and on kept connections,
// without any retry of its own: half of the requests are POSTs without Idempotency-Key. It counts
// each answer that is not 200, with what came instead.
import http from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import type { MeshCluster, SimulatedPod } from './mesh-cluster.ts';

export type LoadResult = {
  readonly requests: number;
  readonly posts: number;
  readonly newConnections: number;
  readonly failures: readonly string[];
};

export type Load = {
  readonly elapsedMs: () => number;
  /** Ends it, waits for what is in flight, and tells. */
  readonly stop: () => Promise<LoadResult>;
};

const lanesPerCaller = 4;

export type LoadOptions = {
  /** Between two requests of one lane: keeps a small machine from measuring its own queue. */
  readonly pauseMs: number;
};

export function startLoad(
  mesh: MeshCluster,
  callers: readonly SimulatedPod[],
  { pauseMs }: LoadOptions = { pauseMs: 2 },
): Load {
  const startedMs = performance.now();
  const failures: string[] = [];
  let requests = 0;
  let posts = 0;
  let newConnections = 0;
  let isOver = false;
  const lane = async (from: SimulatedPod, number: number): Promise<void> => {
    const kept = new http.Agent({ keepAlive: true, maxSockets: 1 });
    for (let turn = number; !isOver; turn += 1) {
      const isPost = turn % 2 === 0;
      const isNew = turn % 4 < 2;
      const host = 'reviews.shop.mesh';
      const agent = isNew ? false : kept;
      try {
        const answer = isPost
          ? await mesh.call({ from, host, agent, method: 'POST', body: 'order' })
          : await mesh.call({ from, host, agent });
        if (answer.status !== 200)
          failures.push(`${answer.status} ${answer.reason} ${answer.body}`);
      } catch (error) {
        failures.push(`${isPost ? 'POST' : 'GET'} ${isNew ? 'new' : 'kept'}: ${String(error)}`);
      }
      requests += 1;
      posts += isPost ? 1 : 0;
      newConnections += isNew ? 1 : 0;
      await wait(pauseMs);
    }
    kept.destroy();
  };
  const lanes = callers.flatMap((from) =>
    Array.from({ length: lanesPerCaller }, (_, number) => lane(from, number)),
  );
  return {
    elapsedMs: () => performance.now() - startedMs,
    stop: async () => {
      isOver = true;
      await Promise.all(lanes);
      return { requests, posts, newConnections, failures };
    },
  };
}
