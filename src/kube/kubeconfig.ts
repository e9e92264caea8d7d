// A kubeconfig file read into what a connection needs: pure text in, facts out. It covers what
// clusters hand out (certificates, tokens, files); plugins that have to be run are only named, for
// plugin-credentials.ts. Files that it mentions are not opened here.
// Format: Kubernetes, "kubeconfig (v1)".
import { parse } from 'yaml';
import { KubeFailure, asRecord, asText } from './client.ts';

/** Text as it is, or the path of the file that holds it. */
export type TextOrFile = { readonly kind: 'text' | 'file'; readonly value: string };

export type KubeconfigFacts = {
  readonly server: string;
  readonly ca: TextOrFile | undefined;
  readonly cert: TextOrFile | undefined;
  readonly key: TextOrFile | undefined;
  readonly token: TextOrFile | undefined;
  readonly isInsecure: boolean;
  readonly serverName: string | undefined;
  /** The user is known only to a program that has to be run (`exec`, `auth-provider`). */
  readonly needsPlugin: boolean;
};

/** `context` undefined: the file's current one. Throws KubeFailure that names the fix. */
export function readKubeconfig(
  text: string,
  file: string,
  context: string | undefined,
): KubeconfigFacts {
  const config = asRecord(parseYaml(text, file));
  const name = context ?? asText(config['current-context']);
  if (name === '') throw bad(file, 'it has no current-context: choose one with --context');
  const chosen = asRecord(named(config['contexts'], name)?.['context']);
  if (asText(chosen['cluster']) === '') throw bad(file, `it has no context "${name}"`);
  const clusterName = asText(chosen['cluster']);
  const cluster = asRecord(named(config['clusters'], clusterName)?.['cluster']);
  const server = asText(cluster['server']);
  if (server === '') throw bad(file, `cluster "${clusterName}" names no server`);
  if (asText(cluster['proxy-url']) !== '') {
    throw bad(file, `cluster "${clusterName}" has a proxy-url, which is not supported`);
  }
  const user = asRecord(named(config['users'], asText(chosen['user']))?.['user']);
  return {
    server,
    ca: data(cluster, 'certificate-authority'),
    cert: data(user, 'client-certificate'),
    key: data(user, 'client-key'),
    token: token(user),
    isInsecure: cluster['insecure-skip-tls-verify'] === true,
    serverName: asText(cluster['tls-server-name']) || undefined,
    needsPlugin: user['exec'] !== undefined || user['auth-provider'] !== undefined,
  };
}

function parseYaml(text: string, file: string): unknown {
  try {
    return parse(text);
  } catch (error) {
    throw bad(file, 'it is not valid YAML', error);
  }
}

function named(list: unknown, name: string): Readonly<Record<string, unknown>> | undefined {
  const items: readonly unknown[] = Array.isArray(list) ? list : [];
  return items.map(asRecord).find((item) => item['name'] === name);
}

/** Data beats the file of the same name, as in kubectl. */
function data(from: Readonly<Record<string, unknown>>, key: string): TextOrFile | undefined {
  const encoded = asText(from[`${key}-data`]);
  if (encoded !== '') {
    return { kind: 'text', value: Buffer.from(encoded, 'base64').toString('utf8') };
  }
  const file = asText(from[key]);
  return file === '' ? undefined : { kind: 'file', value: file };
}

/** A token file beats a token: it is the one that is renewed. */
function token(user: Readonly<Record<string, unknown>>): TextOrFile | undefined {
  const file = asText(user['tokenFile']);
  if (file !== '') return { kind: 'file', value: file };
  const text = asText(user['token']);
  return text === '' ? undefined : { kind: 'text', value: text };
}

function bad(file: string, why: string, cause?: unknown): KubeFailure {
  const message = `kubeconfig ${file} cannot be used: ${why}`;
  return new KubeFailure('BadConfiguration', message, { cause });
}
