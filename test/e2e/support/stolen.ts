// A proxy's token in the wrong hands: what may be asked for with it, straight at the API server,
// and where the certificates that come of it are good for anything.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { meshNamespace } from './cluster.ts';
import { kubectl, kubectlJson, tryKubectl } from './kubectl.ts';
import { until } from './until.ts';

const tokenPath = '/var/run/secrets/kubernetes.io/serviceaccount/token';

export async function tokenOf(pod: string): Promise<string> {
  const read = `process.stdout.write(require('fs').readFileSync('${tokenPath}', 'utf8'))`;
  return kubectl(['-n', meshNamespace, 'exec', pod, '--', 'node', '-e', read]);
}

export type Wish = {
  readonly token: string;
  readonly name: string;
  readonly spiffeId: string;
  readonly node: string;
};

export type Granted = {
  readonly reason: string;
  readonly certificate: string;
  readonly key: string;
};

/** As the holder of the token, and nobody else: what the controller makes of it. */
export async function askWith(wish: Wish): Promise<Granted> {
  const folder = mkdtempSync(join(tmpdir(), 'weft-stolen-'));
  try {
    const { request, key } = makeRequest(folder, wish);
    const told = await createAs(wish, request, folder);
    if (told !== '') return { reason: told, certificate: '', key };
    return { ...(await answerTo(wish.name)), key };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function makeRequest(
  folder: string,
  { spiffeId, node }: Wish,
): { readonly request: string; readonly key: string } {
  const [keyFile, settings] = [join(folder, 'key.pem'), join(folder, 'openssl.cnf')];
  writeFileSync(settings, '[req]\ndistinguished_name=dn\nprompt=no\n[dn]\n');
  const ssl = (args: readonly string[]): string => execFileSync('openssl', args).toString();
  ssl(['ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', keyFile]);
  const names = `subjectAltName=URI:${spiffeId},DNS:${node}.node.weft.dev`;
  const named = ['-config', settings, '-subj', '/', '-addext', names];
  const request = ssl(['req', '-new', '-sha256', '-key', keyFile, ...named]);
  return { request, key: readFileSync(keyFile, 'utf8') };
}

/** Empty when it was taken, else the API server's words. */
async function createAs(wish: Wish, request: string, folder: string): Promise<string> {
  type Config = {
    readonly clusters: readonly [
      {
        readonly cluster: {
          readonly server: string;
          readonly 'certificate-authority-data': string;
        };
      },
    ];
  };
  const config = await kubectlJson<Config>(['config', 'view', '--raw', '--minify']);
  const { cluster } = config.clusters[0];
  const authority = join(folder, 'ca.crt');
  writeFileSync(authority, Buffer.from(cluster['certificate-authority-data'], 'base64'));
  const object = {
    apiVersion: 'certificates.k8s.io/v1',
    kind: 'CertificateSigningRequest',
    metadata: { name: wish.name },
    spec: {
      signerName: 'weft.dev/workload',
      usages: ['digital signature', 'client auth', 'server auth'],
      expirationSeconds: 3_600,
      request: Buffer.from(request).toString('base64'),
    },
  };
  // No certificate of the administrator may come along: it would count instead of the token.
  const as = ['--kubeconfig=/dev/null', `--token=${wish.token}`, `--server=${cluster.server}`];
  const args = [...as, `--certificate-authority=${authority}`, 'create', '-f', '-'];
  const { status, stderr } = await tryKubectl(args, { input: JSON.stringify(object) });
  return status === 0 ? '' : stderr.trim();
}

async function answerTo(name: string): Promise<{
  readonly reason: string;
  readonly certificate: string;
}> {
  type Request = {
    readonly status: {
      readonly certificate?: string;
      readonly conditions?: readonly { readonly type: string; readonly reason: string }[];
    };
  };
  return until(`an answer to ${name}`, async () => {
    const { status } = await kubectlJson<Request>(['get', 'csr', name]);
    const refusal = status.conditions?.find(({ type }) => type !== 'Approved');
    if (refusal !== undefined) return { reason: refusal.reason, certificate: '' };
    if (status.certificate === undefined) return undefined;
    const certificate = Buffer.from(status.certificate, 'base64').toString();
    return { reason: 'issued', certificate };
  });
}

export type Knocked = {
  readonly isSecured: boolean;
  readonly said: string;
  readonly why: string;
  readonly tookMs: number;
};

/** From within a pod that has a Node: the program is handed over as text. */
export async function knock(
  place: readonly string[],
  host: string,
  { certificate, key }: Granted,
): Promise<Knocked> {
  const program = readFileSync(new URL('../programs/tunnel.ts', import.meta.url), 'utf8');
  const plan = JSON.stringify({ host, certificate, key });
  const command = ['node', '--input-type=module-typescript', '-e', program, '--', plan];
  // Written by programs/tunnel.ts.
  return JSON.parse(await kubectl(['exec', ...place, '--', ...command])) as Knocked;
}
