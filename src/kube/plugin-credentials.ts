// Users of a kubeconfig whose credentials come from a program (`exec`: cloud log-ins, OIDC). This
// is the one place that loads @kubernetes/client-node, only when such a user is met, because
// loading it costs 80 MB and 0.4 s: a proxy in a cluster never does.
// The package's name is not written into the `import()`, so that no bundler draws it in; where it
// is not installed the failure says what to do.
import type { KubeConfig } from '@kubernetes/client-node';
import { KubeFailure, asRecord } from './client.ts';
import type { TlsFacts } from './credentials.ts';

type ClientNode = { readonly KubeConfig: new () => KubeConfig };

export async function askPlugin(source: {
  readonly file: string;
  readonly context: string | undefined;
}): Promise<{ readonly token: string | undefined; readonly tls: TlsFacts }> {
  const { KubeConfig } = await loadClientNode(source.file);
  const config = new KubeConfig();
  const options = {};
  try {
    config.loadFromFile(source.file);
    if (source.context !== undefined) config.setCurrentContext(source.context);
    await config.applyToHTTPSOptions(options);
  } catch (error) {
    const why = error instanceof Error ? error.message : 'unknown error';
    const message = `the credential plugin of kubeconfig ${source.file} failed: ${why}`;
    throw new KubeFailure('BadConfiguration', message, { cause: error });
  }
  return { token: bearer(options), tls: tlsOf(options) };
}

async function loadClientNode(file: string): Promise<ClientNode> {
  const name = ['@kubernetes', 'client-node'].join('/');
  try {
    // The type is that of the package's own declarations; only the class is used.
    return (await import(name)) as ClientNode;
  } catch (error) {
    const fix = 'install the npm package @kubernetes/client-node, or use a token';
    const message = `kubeconfig ${file} needs a credential plugin: ${fix}`;
    throw new KubeFailure('BadConfiguration', message, { cause: error });
  }
}

function bearer(options: object): string | undefined {
  const header = asRecord(asRecord(options)['headers'])['Authorization'];
  const scheme = 'Bearer ';
  return typeof header === 'string' && header.startsWith(scheme)
    ? header.slice(scheme.length)
    : undefined;
}

function tlsOf(options: object): TlsFacts {
  const fields = asRecord(options);
  const text = (key: string): string | undefined => {
    const value = fields[key];
    if (typeof value === 'string') return value;
    return Buffer.isBuffer(value) ? value.toString('utf8') : undefined;
  };
  const [ca, cert, key, servername] = [text('ca'), text('cert'), text('key'), text('servername')];
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(servername === undefined ? {} : { servername }),
    rejectUnauthorized: fields['rejectUnauthorized'] !== false,
  };
}
