// Keeps Secret `weft-ca`: watches it, makes a root when the mesh has none, and holds what signs.
// The Secret is made by POST, so that of two controllers that start together one makes it and both
// use it. It is never made anew while `weft-trust` stands: proxies trust the old root, and a new
// one would cut every connection of the mesh. The key is in the Secret and in memory, nowhere
// else.
import { createPrivateKey, sign } from 'node:crypto';
import type { MeshSettings, Problem } from '../../api/index.ts';
import { makeRoot } from '../../identity/control.ts';
import type { Authority, Sign } from '../../identity/control.ts';
import { kubeReason, resourcePath, startReflector, startWorkQueue } from '../../kube/index.ts';
import type { Connection, Reflector, WorkQueue } from '../../kube/index.ts';
import type { Runtime } from '../../lib/clock.ts';
import type { KeyMaker } from '../../lib/keys.ts';
import type { Log } from '../../telemetry/index.ts';
import { RawMirror } from '../raw-mirror.ts';
import { authorityName, readAuthority, trustName } from './authority-secret.ts';
import type { FaultyAuthority, HeldAuthority } from './authority-secret.ts';
import { authorityManifest } from './authority-manifest.ts';

export type AuthorityKeeperOptions = {
  readonly connection: Connection;
  readonly runtime: Runtime;
  readonly log: Log;
  readonly keys: KeyMaker;
  readonly settings: MeshSettings;
  readonly isLeading: () => boolean;
  /** What signs, what is trusted, or `problems` may be another. */
  readonly onChange: () => void;
};

export type Signing = { readonly authority: Authority; readonly sign: Sign };

const ensureKey = 'ensure';
/** Somebody may bring the Secret back. */
const missingRestMs = 30_000;
const faultyRestMs = 60_000;

type Again = { readonly againAfterMs: number } | undefined;

export class AuthorityKeeper {
  readonly #options: AuthorityKeeperOptions;
  readonly #mirror: RawMirror;
  readonly #reflector: Reflector;
  readonly #queue: WorkQueue;
  #reading: HeldAuthority | FaultyAuthority | undefined;
  #signing: Signing | undefined;
  #isMissing = false;

  constructor(options: AuthorityKeeperOptions) {
    this.#options = options;
    const changed = (): void => {
      this.#read();
      this.look();
    };
    this.#mirror = new RawMirror({ seen: () => undefined, changed });
    this.#queue = startWorkQueue({
      runtime: options.runtime,
      log: options.log,
      concurrency: 1,
      reconcile: () => this.#ensure(),
    });
    this.#reflector = startReflector<unknown>({
      connection: options.connection,
      runtime: options.runtime,
      log: options.log.with({ kind: 'Secret' }),
      resource: { group: '', plural: 'secrets', versions: ['v1'] },
      namespace: options.settings.meshNamespace,
      selector: { fieldSelector: `metadata.name=${authorityName}` },
      parse: (input) => ({ value: input, problems: [] }),
      sink: this.#mirror.sink(),
      onSynced: () => this.look(),
    });
  }

  /** The authority of this mesh, when there is one without fault. */
  get held(): HeldAuthority | undefined {
    return this.#reading?.kind === 'held' ? this.#reading : undefined;
  }

  /** What signs now; `undefined`: nothing is signed. */
  get signing(): Signing | undefined {
    return this.#signing;
  }

  /** The Secret as it was last seen, for whoever writes it. */
  get secret(): unknown {
    return this.#mirror.get(authorityName);
  }

  /** What the API server answered to a write. */
  see(secret: unknown): void {
    this.#mirror.see(secret);
  }

  /** Leadership was gained, or the Secret may have to be made. */
  look(): void {
    this.#queue.add(ensureKey);
  }

  isSynced(): boolean {
    return this.#reflector.status().isSynced;
  }

  problems(): readonly Problem[] {
    const namespace = this.#options.settings.meshNamespace;
    if (this.#reading?.kind === 'faulty') {
      const { reason, message } = this.#reading;
      return [{ kind: 'Secret', name: authorityName, namespace, reason, message }];
    }
    if (!this.#isMissing) return [];
    const message =
      `Secret ${authorityName} is gone and ${trustName} still trusts it; put it back from a ` +
      `backup (nothing is signed meanwhile), or delete ${trustName} too for a new root, which ` +
      'proxies take within a minute and which ends all connections of the old one';
    // What is told on an object that is not there, nobody reads.
    const reason = 'AuthorityMissing';
    return [{ kind: 'ConfigMap', name: trustName, namespace, reason, message }];
  }

  async stop(): Promise<void> {
    await Promise.all([this.#reflector.stop(), this.#queue.stop()]);
  }

  #read(): void {
    const { settings, runtime } = this.#options;
    const secret = this.secret;
    const { trustDomain } = settings;
    this.#reading =
      secret === undefined
        ? undefined
        : readAuthority(secret, { trustDomain, nowMs: runtime.clock.wallMs() });
    this.#signing = this.held === undefined ? undefined : signingOf(this.held);
    if (secret !== undefined) this.#isMissing = false;
    this.#options.onChange();
  }

  /** What is not valid yet becomes so without a change of the Secret. */
  #readAgain(): Again {
    if (this.#reading?.kind !== 'faulty') return undefined;
    this.#read();
    return { againAfterMs: faultyRestMs };
  }

  async #ensure(): Promise<Again> {
    if (this.secret !== undefined) return this.#readAgain();
    if (!this.#options.isLeading() || !this.isSynced()) return undefined;
    // The watch may be behind: what is decided on absence is asked for.
    const live = await this.#get('secrets', authorityName);
    if (live !== undefined) {
      this.see(live);
      return undefined;
    }
    if ((await this.#get('configmaps', trustName)) === undefined) {
      await this.#make();
      return undefined;
    }
    const wasMissing = this.#isMissing;
    this.#isMissing = true;
    if (!wasMissing) this.#options.onChange();
    return { againAfterMs: missingRestMs };
  }

  async #make(): Promise<void> {
    const { connection, keys, settings, runtime, log } = this.#options;
    const { trustDomain, meshNamespace: namespace } = settings;
    const nowMs = runtime.clock.wallMs();
    const key = await keys.makeKey();
    const certificatePem = makeRoot({
      trustDomain,
      publicKey: key.publicKeySpki,
      serial: keys.randomBytes(16),
      nowMs,
      sign: key.sign,
    });
    const { privateKeyPem: keyPem } = key;
    const facts = { namespace, trustDomain, certificatePem, keyPem, nowMs };
    const path = resourcePath({ group: '', version: 'v1', plural: 'secrets', namespace });
    try {
      this.see(await connection.create(path, authorityManifest(facts)));
      log.info('root made', { trustDomain, secret: authorityName });
    } catch (error) {
      if (kubeReason(error) !== 'AlreadyExists') throw error;
      // Another controller was faster: its root is the root.
      const live = await this.#get('secrets', authorityName);
      if (live !== undefined) this.see(live);
    }
  }

  async #get(plural: 'secrets' | 'configmaps', name: string): Promise<unknown> {
    const namespace = this.#options.settings.meshNamespace;
    const path = resourcePath({ group: '', version: 'v1', plural, namespace, name });
    try {
      return await this.#options.connection.get(path);
    } catch (error) {
      if (kubeReason(error) === 'NotFound') return undefined;
      throw error;
    }
  }
}

function signingOf({ signer }: HeldAuthority): Signing {
  const key = createPrivateKey(signer.keyPem);
  return { authority: signer.authority, sign: (bytes) => sign('sha256', bytes, key) };
}
