// Where the API server is and who we are there: in-cluster (environment, mounted token and CA) or
// from a kubeconfig file. Everything is read again once a minute, since mounted tokens and
// certificates rotate; when a re-read fails the last good credentials stay in force.
// It opens no connection.
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { Clock } from '../lib/clock.ts';
import { KubeFailure } from './client.ts';
import type { KubeconfigFacts, TextOrFile } from './kubeconfig.ts';
import { readKubeconfig } from './kubeconfig.ts';
import { askPlugin } from './plugin-credentials.ts';

/** How a process was told to find its cluster. */
export type ConnectionSource =
  | { readonly kind: 'kubeconfig'; readonly file: string; readonly context: string | undefined }
  | {
      readonly kind: 'in-cluster';
      readonly host: string;
      readonly port: string;
      /** Holds `token` and `ca.crt`. */
      readonly accountDirectory: string;
    };

export type TlsFacts = {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly servername?: string;
  readonly rejectUnauthorized: boolean;
};

export type Credentials = {
  /** Scheme, host and port. */
  readonly server: string;
  /** Path before `/api`, for servers behind a prefix; mostly empty. */
  readonly basePath: string;
  readonly tls: TlsFacts;
  /** Equal exactly when `tls` is equal. */
  readonly tlsKey: string;
  readonly token: string | undefined;
};

export type CredentialSource = {
  readonly current: () => Promise<Credentials>;
  /** The server refused them: read them again soon. */
  readonly distrust: () => void;
};

const accountDirectory = '/var/run/secrets/kubernetes.io/serviceaccount';
/** A bound token is replaced at 80 % of its hour, so a minute is soon enough. */
const rereadAfterMs = 60_000;
/** A server that says 401 to everything must not make us read files for each request. */
const rereadAfterRefusalMs = 5_000;

export type SourceFlags = {
  readonly kubeconfig: string | undefined;
  readonly context: string | undefined;
};

/** The flag, else the cluster that we run in; throws KubeFailure `NoConfiguration`. */
export function findSource(
  flags: SourceFlags,
  environment: Readonly<Record<string, string | undefined>>,
): ConnectionSource {
  if (flags.kubeconfig !== undefined) {
    return { kind: 'kubeconfig', file: flags.kubeconfig, context: flags.context };
  }
  const host = environment['KUBERNETES_SERVICE_HOST'];
  const port = environment['KUBERNETES_SERVICE_PORT'];
  if (host !== undefined && host !== '' && port !== undefined && port !== '') {
    return { kind: 'in-cluster', host, port, accountDirectory };
  }
  const fix = 'give --kubeconfig FILE, or run as a pod with a service account';
  throw new KubeFailure('NoConfiguration', `no cluster configuration: ${fix}`);
}

export function credentialSource(source: ConnectionSource, clock: Clock): CredentialSource {
  const reader = new CredentialReader(() => load(source), clock);
  return { current: () => reader.current(), distrust: () => reader.distrust() };
}

class CredentialReader {
  readonly #load: () => Promise<Credentials>;
  readonly #clock: Clock;
  #last: Credentials | undefined;
  #reading: Promise<Credentials> | undefined;
  #readAtMs = 0;
  #isDistrusted = false;

  constructor(read: () => Promise<Credentials>, clock: Clock) {
    this.#load = read;
    this.#clock = clock;
  }

  async current(): Promise<Credentials> {
    const last = this.#last;
    const ageMs = this.#clock.nowMs() - this.#readAtMs;
    const limitMs = this.#isDistrusted ? rereadAfterRefusalMs : rereadAfterMs;
    if (last !== undefined && ageMs < limitMs) return last;
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  distrust(): void {
    this.#isDistrusted = true;
  }

  async #read(): Promise<Credentials> {
    this.#readAtMs = this.#clock.nowMs();
    this.#isDistrusted = false;
    try {
      const read = await this.#load();
      if (this.#last === undefined || !sameCredentials(this.#last, read)) this.#last = read;
      return this.#last;
    } catch (error) {
      // A volume that is being swapped, a plugin that is offline: the old ones may still be good,
      // and if they are not, the server says so.
      if (this.#last !== undefined) return this.#last;
      throw error;
    }
  }
}

function sameCredentials(one: Credentials, other: Credentials): boolean {
  return (
    one.server === other.server &&
    one.basePath === other.basePath &&
    one.token === other.token &&
    one.tlsKey === other.tlsKey
  );
}

async function load(source: ConnectionSource): Promise<Credentials> {
  if (source.kind === 'in-cluster') return loadInCluster(source);
  const text = await readText(source.file, 'kubeconfig');
  const facts = readKubeconfig(text, source.file, source.context);
  if (facts.needsPlugin) return credentialsOf(facts.server, await askPlugin(source));
  return loadFacts(facts, dirname(source.file));
}

async function loadInCluster(
  source: ConnectionSource & { readonly kind: 'in-cluster' },
): Promise<Credentials> {
  const host = source.host.includes(':') ? `[${source.host}]` : source.host;
  const token = await readText(`${source.accountDirectory}/token`, 'service account token');
  const ca = await readText(`${source.accountDirectory}/ca.crt`, 'cluster CA');
  const tls = { ca, rejectUnauthorized: true };
  return credentialsOf(`https://${host}:${source.port}`, { token: token.trim(), tls });
}

async function loadFacts(facts: KubeconfigFacts, directory: string): Promise<Credentials> {
  const read = async (from: TextOrFile | undefined): Promise<string | undefined> => {
    if (from === undefined) return undefined;
    if (from.kind === 'text') return from.value;
    return readText(resolve(directory, from.value), 'file of the kubeconfig');
  };
  const [ca, cert, key, token] = [
    await read(facts.ca),
    await read(facts.cert),
    await read(facts.key),
    await read(facts.token),
  ];
  const tls: TlsFacts = {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(facts.serverName === undefined ? {} : { servername: facts.serverName }),
    rejectUnauthorized: !facts.isInsecure,
  };
  return credentialsOf(facts.server, { token: token?.trim(), tls });
}

function credentialsOf(
  server: string,
  user: { readonly token: string | undefined; readonly tls: TlsFacts },
): Credentials {
  const url = parseServer(server);
  return {
    server: url.origin,
    basePath: url.pathname.replace(/\/$/, ''),
    tls: user.tls,
    tlsKey: JSON.stringify(user.tls),
    token: user.token,
  };
}

function parseServer(server: string): URL {
  try {
    return new URL(server);
  } catch (error) {
    const message = `"${server}" is no address of an API server (hint: https://host:port)`;
    throw new KubeFailure('BadConfiguration', message, { cause: error });
  }
}

async function readText(file: string, what: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const message = `${what} ${file} cannot be read`;
    throw new KubeFailure('BadConfiguration', message, { cause: error });
  }
}
