// Key and certificate of the embedded server, made when it starts: a root of its own and one leaf
// for the addresses and names that clients use. kubectl sends no token over plain HTTP, hence TLS
// at all.
import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { createCertificate, pemOf, type SubjectAltName } from '../../identity/control.ts';
import type { Runtime } from '../../lib/clock.ts';

/** Key and certificate of the server, and what clients verify it by; all PEM. */
export type ServerCertificate = {
  readonly key: string;
  readonly cert: string;
  readonly ca: string;
};

const hourMs = 3_600_000;
const lifetimeMs = 7 * 24 * hourMs;
const rootName = 'weft playground';

function spki(key: KeyObject): Uint8Array {
  return key.export({ type: 'spki', format: 'der' });
}

function serial(runtime: Runtime): Uint8Array {
  const bytes = Uint8Array.from({ length: 16 }, () => Math.floor(runtime.random() * 256));
  bytes[0] = (bytes[0] ?? 0) | 1;
  return bytes;
}

/** A certificate for `addresses` and the names that every API server has. */
export function makeServerCertificate(
  runtime: Runtime,
  addresses: readonly string[],
): ServerCertificate {
  const root = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const leaf = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const nowMs = runtime.clock.wallMs();
  const validity = { notBeforeMs: nowMs - hourMs, notAfterMs: nowMs + lifetimeMs };
  const signer = (bytes: Uint8Array): Uint8Array => sign('sha256', bytes, root.privateKey);
  const authority = createCertificate({
    ...validity,
    subject: rootName,
    sans: [],
    isCa: true,
    serial: serial(runtime),
    publicKey: spki(root.publicKey),
    sign: signer,
  });
  const names = ['localhost', 'kubernetes', 'kubernetes.default', 'kubernetes.default.svc'];
  const sans: SubjectAltName[] = [
    ...addresses.map((address) => ({ kind: 'ip' as const, address })),
    ...names.map((name) => ({ kind: 'dns' as const, name })),
  ];
  const certificate = createCertificate({
    ...validity,
    subject: 'kube-apiserver',
    sans,
    isCa: false,
    serial: serial(runtime),
    publicKey: spki(leaf.publicKey),
    issuer: { subject: rootName, publicKey: spki(root.publicKey) },
    sign: signer,
  });
  return {
    key: leaf.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    cert: pemOf(certificate, 'CERTIFICATE'),
    ca: pemOf(authority, 'CERTIFICATE'),
  };
}
