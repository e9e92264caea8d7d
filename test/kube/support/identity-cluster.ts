// A real API server with an installation's accounts and rights, nodes and pods that are only
// objects, and tokens that the API server itself binds to such pods: whoever asks for a
// certificate here is stamped as on any cluster. Controllers run in this process with their own
// account's token.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { meshSettingsOf } from '../../../src/api/index.ts';
import { startController, type Controller } from '../../../src/controller/index.ts';
import { createCertificateRequest, requestUsages } from '../../../src/identity/control.ts';
import type { SubjectAltName } from '../../../src/identity/control.ts';
import { openConnection, resourcePath, type Connection } from '../../../src/kube/index.ts';
import type { MadeKey } from '../../../src/lib/keys.ts';
import { nodeKeys } from '../../../src/main/node-keys.ts';
import type { Log, LogFields } from '../../../src/telemetry/index.ts';
import { startControlPlane, type ControlPlane } from './control-plane.ts';
import { installedObjects } from './installed.ts';
import { realRuntime } from './runtime.ts';
import { until } from './until.ts';

export const home = 'weft-system';

export type PodWish = {
  readonly namespace: string;
  readonly name: string;
  readonly node: string;
  /** Absent: none, as of a mirror pod. */
  readonly account?: string;
  readonly phase?: 'Pending' | 'Running' | 'Succeeded' | 'Failed';
  readonly address?: string;
  readonly isHostNetwork?: boolean;
  readonly isEnded?: boolean;
};

export type Wish = {
  readonly sans?: readonly SubjectAltName[];
  readonly key?: MadeKey;
  readonly usages?: readonly string[];
  readonly expirationSeconds?: number;
  /** A request of another make. */
  readonly pem?: string;
};

/** What became of a request. */
export type Answer =
  | { readonly state: 'issued'; readonly pem: string; readonly object: unknown }
  | { readonly state: 'Denied' | 'Failed'; readonly reason: string; readonly object: unknown };

export type LogLine = { readonly message: string; readonly fields: LogFields };

type Csr = {
  readonly metadata: { readonly name: string; readonly uid: string };
  readonly status: {
    readonly certificate?: string;
    readonly conditions?: readonly { readonly type: string; readonly reason: string }[];
  };
};

export type RunningController = {
  readonly controller: Controller;
  readonly lines: readonly LogLine[];
  readonly stop: () => Promise<void>;
};

const core = { group: '', version: 'v1' };
export const requests = {
  group: 'certificates.k8s.io',
  version: 'v1',
  plural: 'certificatesigningrequests',
};

export const names = (account: string, node: string): readonly SubjectAltName[] => [
  { kind: 'uri', uri: `spiffe://cluster.local/ns/${account.replace('/', '/sa/')}` },
  { kind: 'dns', name: `${node}.node.weft.dev` },
];

export class IdentityCluster {
  readonly plane: ControlPlane;
  readonly admin: Connection;
  readonly #scratch: string;
  readonly #open: Connection[] = [];
  #count = 0;

  private constructor(plane: ControlPlane, admin: Connection, scratch: string) {
    this.plane = plane;
    this.admin = admin;
    this.#scratch = scratch;
  }

  static async start(): Promise<IdentityCluster> {
    const plane = await startControlPlane();
    const scratch = mkdtempSync(join(tmpdir(), 'weft-identity-'));
    const source = { kind: 'kubeconfig', file: plane.kubeconfigPath, context: undefined } as const;
    const admin = await openConnection(source, realRuntime);
    const cluster = new IdentityCluster(plane, admin, scratch);
    await cluster.#install();
    return cluster;
  }

  async #install(): Promise<void> {
    // Without what its Namespace demands of pods: these here are never run.
    for (const name of [home, 'shop', 'edge']) {
      await this.create('namespaces', undefined, { kind: 'Namespace', metadata: { name } });
    }
    const wanted = ['ServiceAccount', 'Role', 'ClusterRole'];
    const objects = installedObjects().filter(({ kind }) =>
      wanted.some((one) => kind === one || kind === `${one}Binding`),
    );
    for (const object of objects) {
      const group = object.apiVersion.includes('/') ? (object.apiVersion.split('/')[0] ?? '') : '';
      const plural = `${object.kind.toLowerCase()}s`;
      const { namespace } = object.metadata;
      const place = namespace === undefined ? {} : { namespace };
      await this.admin.create(resourcePath({ group, version: 'v1', plural, ...place }), object);
    }
    // Anybody may ask here: what stops others is the judgement alone.
    const rbac = { group: 'rbac.authorization.k8s.io', version: 'v1' };
    const metadata = { name: 'everybody-asks' };
    await this.admin.create(resourcePath({ ...rbac, plural: 'clusterroles' }), {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRole',
      metadata,
      rules: [
        { apiGroups: [requests.group], resources: [requests.plural], verbs: ['create', 'get'] },
      ],
    });
    await this.admin.create(resourcePath({ ...rbac, plural: 'clusterrolebindings' }), {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRoleBinding',
      metadata,
      roleRef: { apiGroup: rbac.group, kind: 'ClusterRole', name: metadata.name },
      subjects: [{ apiGroup: rbac.group, kind: 'Group', name: 'system:serviceaccounts' }],
    });
  }

  async create(plural: string, namespace: string | undefined, body: object): Promise<unknown> {
    const place = namespace === undefined ? {} : { namespace };
    const path = resourcePath({ ...core, plural, ...place });
    return this.admin.create(path, { apiVersion: 'v1', ...body });
  }

  async node(name: string): Promise<void> {
    await this.create('nodes', undefined, { kind: 'Node', metadata: { name } });
  }

  async account(namespace: string, name: string): Promise<void> {
    await this.create('serviceaccounts', namespace, { kind: 'ServiceAccount', metadata: { name } });
  }

  /** Answers with its uid. */
  async pod(wish: PodWish): Promise<string> {
    const { namespace, name, node, account } = wish;
    const created = (await this.create('pods', namespace, {
      kind: 'Pod',
      metadata: { namespace, name },
      spec: {
        nodeName: node,
        hostNetwork: wish.isHostNetwork ?? false,
        ...(account === undefined ? {} : { serviceAccountName: account }),
        // One that is deleted stays until its kubelet says that it is gone, and there is none.
        terminationGracePeriodSeconds: 3_600,
        containers: [{ name: 'app', image: 'none' }],
      },
    })) as Csr;
    const terminated = { exitCode: 0, reason: 'Completed' };
    const status = {
      phase: wish.phase ?? 'Running',
      ...(wish.address === undefined
        ? {}
        : { podIP: wish.address, podIPs: [{ ip: wish.address }] }),
      ...(wish.isEnded === true
        ? {
            containerStatuses: [
              {
                name: 'app',
                image: 'none',
                imageID: '',
                ready: false,
                restartCount: 0,
                state: { terminated },
              },
            ],
          }
        : {}),
    };
    const path = resourcePath({ ...core, plural: 'pods', namespace, name, subresource: 'status' });
    await this.admin.patch(path, { kind: 'merge', body: { status } });
    return created.metadata.uid;
  }

  /** At once, or with the word that it shall end. */
  async deletePod(namespace: string, name: string, graceSeconds: number): Promise<void> {
    const path = resourcePath({ ...core, plural: 'pods', namespace, name });
    await this.admin.remove(path, { gracePeriodSeconds: graceSeconds });
  }

  /** With a token of this account, bound to the pod where one is named. */
  async as(
    namespace: string,
    account: string,
    pod?: { readonly name: string; readonly uid: string },
  ): Promise<Connection> {
    const boundObjectRef = { kind: 'Pod', apiVersion: 'v1', name: pod?.name, uid: pod?.uid };
    const path = resourcePath({
      ...core,
      plural: 'serviceaccounts',
      namespace,
      name: account,
      subresource: 'token',
    });
    const answer = (await this.admin.create(path, {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: { expirationSeconds: 3_600, ...(pod === undefined ? {} : { boundObjectRef }) },
    })) as { readonly status: { readonly token: string } };
    this.#count += 1;
    const file = join(this.#scratch, `kubeconfig-${this.#count}`);
    const text = readFileSync(this.plane.kubeconfigPath, 'utf8');
    writeFileSync(file, text.replace(this.plane.token, answer.status.token), { mode: 0o600 });
    const source = { kind: 'kubeconfig', file, context: undefined } as const;
    const connection = await openConnection(source, realRuntime);
    this.#open.push(connection);
    return connection;
  }

  /** A proxy pod of the node, and the connection that its token gives. */
  async proxy(node: string, name = `weft-proxy-${node}`): Promise<Connection> {
    const pod = { namespace: home, name, node, account: 'weft-proxy' };
    const uid = await this.pod({ ...pod, address: '10.9.0.1' });
    return this.as(home, 'weft-proxy', { name, uid });
  }

  /** Posts a request; answers with its name. */
  async post(from: Connection, wish: Wish): Promise<string> {
    const { key = await nodeKeys.makeKey(), sans = [] } = wish;
    const pem =
      wish.pem ??
      createCertificateRequest({ publicKey: key.publicKeySpki, sans, sign: key.sign });
    this.#count += 1;
    const name = `weft-test-${this.#count}`;
    await from.create(resourcePath(requests), {
      apiVersion: 'certificates.k8s.io/v1',
      kind: 'CertificateSigningRequest',
      metadata: { name, labels: { 'weft.dev/proxy-pod': 'test' } },
      spec: {
        signerName: 'weft.dev/workload',
        usages: wish.usages ?? requestUsages,
        expirationSeconds: wish.expirationSeconds ?? 86_400,
        request: Buffer.from(pem).toString('base64'),
      },
    });
    return name;
  }

  async answerTo(name: string): Promise<Answer> {
    let answer: Answer | undefined;
    await until(`an answer to ${name}`, async () => {
      answer = answerOf(await this.request(name));
      return answer !== undefined;
    });
    if (answer === undefined) throw new Error('there is no answer');
    return answer;
  }

  request(name: string): Promise<unknown> {
    return this.admin.get(resourcePath({ ...requests, name }));
  }

  async ask(from: Connection, wish: Wish): Promise<Answer> {
    return this.answerTo(await this.post(from, wish));
  }

  /** As `kubectl certificate approve` and `deny` do it. */
  async condition(name: string, type: 'Approved' | 'Denied'): Promise<void> {
    const object = (await this.request(name)) as Csr;
    const condition = { type, status: 'True', reason: 'Somebody', message: 'says so' };
    const status = { ...object.status, conditions: [condition] };
    const path = resourcePath({ ...requests, name, subresource: 'approval' });
    await this.admin.update(path, { ...object, status });
  }

  /** With the token of its account, as in an installation. */
  async controller(flags: Readonly<Record<string, string>> = {}): Promise<RunningController> {
    const connection = await this.as(home, 'weft-controller');
    const lines: LogLine[] = [];
    const given = new Map(Object.entries(flags).map(([name, value]) => [name, [value]]));
    const controller = await startController({
      connection,
      runtime: realRuntime,
      keys: nodeKeys,
      settings: {
        mesh: meshSettingsOf(given),
        podName: undefined,
        bindAddresses: ['127.0.0.1'],
        adminPort: 0,
        dnsPort: 15_053,
        debugFrom: 'loopback',
      },
      log: notedLog(lines),
      version: 'test',
      nodeVersion: process.versions.node,
    });
    return { controller, lines, stop: () => controller.stop() };
  }

  async text(plural: 'secrets' | 'configmaps', name: string, key: string): Promise<string> {
    const path = resourcePath({ ...core, plural, namespace: home, name });
    const object = (await this.admin.get(path)) as {
      readonly data: Readonly<Record<string, string>>;
    };
    const value = object.data[key] ?? '';
    return plural === 'secrets' ? Buffer.from(value, 'base64').toString() : value;
  }

  /** The trust bundle, once it is there. */
  async trust(): Promise<string> {
    let text = '';
    await until('ConfigMap weft-trust', async () => {
      text = await this.text('configmaps', 'weft-trust', 'ca.crt').catch(() => '');
      return text !== '';
    });
    return text;
  }

  async stop(): Promise<void> {
    await Promise.all([this.admin, ...this.#open].map((connection) => connection.close()));
    await this.plane.stop();
    rmSync(this.#scratch, { recursive: true });
  }
}

function answerOf(object: unknown): Answer | undefined {
  // An object of the API server, of a kind that this test made.
  const { status } = object as Csr;
  const { certificate, conditions = [] } = status;
  if (certificate !== undefined) {
    return { state: 'issued', pem: Buffer.from(certificate, 'base64').toString(), object };
  }
  const bad = conditions.find(({ type }) => type === 'Denied' || type === 'Failed');
  if (bad === undefined) return undefined;
  const state = bad.type === 'Denied' ? 'Denied' : 'Failed';
  return { state, reason: bad.reason, object };
}

/** A log whose lines can be looked at. */
function notedLog(lines: LogLine[], held: LogFields = {}): Log {
  const note = (message: string, fields: LogFields = {}): void => {
    lines.push({ message, fields: { ...held, ...fields } });
  };
  return {
    debug: () => undefined,
    info: note,
    warn: note,
    error: note,
    with: (fields) => notedLog(lines, { ...held, ...fields }),
  };
}
