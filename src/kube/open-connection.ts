// Opens the connection of a process: where the cluster is, over the real network. Apart from
// connection.ts so that tests of everything above the transport load no network code.
import type { Runtime } from '../lib/clock.ts';
import type { Connection } from './connection.ts';
import { connectionOver } from './connection.ts';
import type { ConnectionSource } from './credentials.ts';
import { credentialSource } from './credentials.ts';
import { openTransport } from './transport.ts';

/**
 * Reads the credentials – unusable ones throw KubeFailure – but sends nothing yet: a server that
 * does not answer is for the callers of the verbs to wait for.
 */
export async function openConnection(
  source: ConnectionSource,
  runtime: Runtime,
): Promise<Connection> {
  const transport = await openTransport(credentialSource(source, runtime.clock));
  return connectionOver(transport, runtime);
}
