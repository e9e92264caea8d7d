// `weft proxy` in this process, from flags to exit code: the product's control thread and workers,
// with workers that share the thread and sockets that the test can see end. Messages are cloned on
// their way, as between threads.
import type { FlagValues } from '../../src/api/index.ts';
import { resolveFlags } from '../../src/api/index.ts';
import type { DatagramNetwork } from '../../src/lib/datagrams.ts';
import type { Network, NetworkListener } from '../../src/lib/network.ts';
import { flowDatagrams } from '../../src/main/flow-datagrams.ts';
import { openDatagrams } from '../../src/main/node-datagrams.ts';
import { nodeFiles } from '../../src/main/node-files.ts';
import { nodeKeys } from '../../src/main/node-keys.ts';
import { realRuntime } from '../../src/main/runtime.ts';
import { launchProxy, nodeNetwork, type SpawnWorker } from '../../src/proxy/index.ts';
import { startWorker, tlsNetwork } from '../../src/proxy/worker.ts';

export type LaunchedProxy = {
  readonly exitCode: Promise<number>;
  /** As SIGTERM does. */
  readonly raise: () => void;
  readonly stdout: () => string;
  readonly stderr: () => string;
};

/** Listeners that can all be closed at once: what the system does when a thread ends. */
function closableNetwork() {
  const real = nodeNetwork();
  const listeners: Pick<NetworkListener, 'close'>[] = [];
  const datagrams: DatagramNetwork = {
    ...flowDatagrams,
    bind: (at, events) => {
      const socket = flowDatagrams.bind(at, events);
      listeners.push(socket);
      return socket;
    },
  };
  const network: Network = {
    connect: (options) => real.connect(options),
    listen: (options, events) => {
      const listener = real.listen(options, events);
      listeners.push(listener);
      return listener;
    },
  };
  const close = (): void => {
    for (const listener of listeners) listener.close();
  };
  return { network, datagrams, close };
}

const spawnWorker: SpawnWorker = (start, events) => {
  const { network, datagrams, close } = closableNetwork();
  let isGone = false;
  const exit = (error: Error | undefined): void => {
    if (isGone) return;
    isGone = true;
    close();
    events.onExit(error);
  };
  let count = 0;
  const receive = startWorker(start, {
    runtime: realRuntime,
    network,
    secureNetwork: tlsNetwork(),
    datagrams,
    hasDirectSockets: false,
    ids: {
      requestId: () => `request-${(count += 1)}`,
      traceparent: () => `00-${'a'.repeat(32)}-${'b'.repeat(16)}-00`,
    },
    post: (message) => {
      const copy = structuredClone(message);
      setImmediate(() => {
        if (!isGone) events.onMessage(copy);
      });
    },
  });
  return {
    post: (message) => {
      const copy = structuredClone(message);
      setImmediate(() => {
        if (isGone) return;
        try {
          receive(copy);
        } catch (error) {
          exit(error instanceof Error ? error : new Error(String(error)));
        }
      });
    },
    terminate: () => exit(undefined),
  };
};

/** Flags as on a command line, without the dashes. */
export function launch(flags: Readonly<Record<string, readonly string[]>>): LaunchedProxy {
  let stdout = '';
  let stderr = '';
  let raise = (): void => undefined;
  const raised = new Promise<void>((resolve) => {
    raise = resolve;
  });
  const exitCode = launchProxy(valuesOf(flags), {
    environment: {},
    runtime: realRuntime,
    keys: nodeKeys,
    files: nodeFiles,
    version: '9.9.9-test',
    build: '9.9.9-test',
    nodeVersion: process.versions.node,
    writeOut: (text) => {
      stdout += text;
    },
    writeError: (text) => {
      stderr += text;
    },
    isErrorTerminal: false,
    untilSignal: () => ({ raised, raise }),
    machine: { cpus: 1, memoryLimitBytes: undefined, hasReusePort: false },
    network: nodeNetwork(),
    openDatagrams,
    spawnWorker,
  });
  return { exitCode, raise: () => raise(), stdout: () => stdout, stderr: () => stderr };
}

function valuesOf(flags: Readonly<Record<string, readonly string[]>>): FlagValues {
  const values = resolveFlags('proxy', new Map(Object.entries(flags)), {});
  if ('complaint' in values) throw new Error(values.complaint);
  return values;
}
