// The reflector against a real kube-apiserver: it ends up with what the server holds, whatever
// happens to the server or to the way there.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openConnection, resourcePath, watchCluster } from '../../src/kube/index.ts';
import type { ClusterWatch, Connection } from '../../src/kube/index.ts';
import { silentLog } from '../../src/telemetry/index.ts';
import type { ControlPlane } from './support/control-plane.ts';
import { startControlPlane } from './support/control-plane.ts';
import { realRuntime } from '../../src/main/runtime.ts';
import { until } from './support/until.ts';

let plane: ControlPlane;
let connection: Connection;
let watch: ClusterWatch;

beforeAll(async () => {
  plane = await startControlPlane();
  const source = { kind: 'kubeconfig', file: plane.kubeconfigPath, context: undefined } as const;
  connection = await openConnection(source, realRuntime);
  watch = watchCluster({
    connection,
    runtime: realRuntime,
    log: silentLog,
    podScope: { kind: 'cluster' },
    onChange: () => undefined,
  });
});

afterAll(async () => {
  await watch.stop();
  await connection.close();
  await plane.stop();
});

const services = resourcePath({ group: '', version: 'v1', plural: 'services', namespace: 'default' });

function service(name: string, port: number): unknown {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'default' },
    spec: { ports: [{ port }], selector: { app: name } },
  };
}

describe('a reflector on a real API server', () => {
  test('sees what is created, changed and removed', async () => {
    await until('synced', () => watch.isSynced());
    await connection.create(services, service('web', 80));
    await until('created', () => watch.state().services.get('default/web') !== undefined);
    await connection.patch(`${services}/web`, { kind: "merge", body: { spec: { ports: [{ port: 8080 }] } } });
    await until('changed', () =>
      watch.state().services.get('default/web')?.ports.some((port) => port.port === 8080),
    );
    await connection.remove(`${services}/web`);
    await until('removed', () => watch.state().services.get('default/web') === undefined);
    expect(watch.state().problems).toEqual([]);
  });
});
