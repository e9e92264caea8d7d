// What Secret `weft-ca` says, and what each step of a rotation makes of it: read again after every
// step, it always says who signs and whom to trust.
import { describe, expect, test } from 'vitest';
import { makeRoot } from '../../identity/control.ts';
import { nodeKeys } from '../../main/node-keys.ts';
import {
  authorityManifest,
  proposedAuthority,
  steppedAuthority,
  trustManifest,
} from './authority-manifest.ts';
import type { Proposal } from './authority-manifest.ts';
import { readAuthority, readProposed } from './authority-secret.ts';
import type { CaPhase, HeldAuthority } from './authority-secret.ts';

const nowMs = Date.UTC(2024, 4, 6);
const trustDomain = 'cluster.local';
const options = { trustDomain, nowMs };

async function made(domain = trustDomain): Promise<Proposal> {
  const key = await nodeKeys.makeKey();
  const serial = nodeKeys.randomBytes(16);
  const { publicKeySpki: publicKey, sign } = key;
  const certificatePem = makeRoot({ trustDomain: domain, publicKey, serial, nowMs, sign });
  return { certificatePem, keyPem: key.privateKeyPem };
}

type Secret = {
  readonly metadata: { readonly annotations: object };
  readonly data: object;
};

const secretOf = (signer: Proposal): Secret =>
  // As this module writes it.
  authorityManifest({ namespace: 'weft-system', trustDomain, nowMs, ...signer }) as Secret;

function held(secret: unknown): HeldAuthority {
  const reading = readAuthority(secret, options);
  if (reading.kind === 'faulty') throw new Error(reading.message);
  return reading;
}

const bundle = (secret: unknown): string =>
  trustManifest({ namespace: 'weft-system', trustDomain, held: held(secret) }).data['ca.crt'];

function step(secret: unknown, to: CaPhase, proposal?: Proposal): unknown {
  const given = proposal === undefined ? {} : { proposal };
  return steppedAuthority({ secret, held: held(secret), to, nowMs: nowMs + 1_000, ...given });
}

describe('a rotation', () => {
  test('goes from root to root, and says at each step who signs and who is trusted', async () => {
    const [one, two] = [await made(), await made()];
    const steady = secretOf(one);
    const adding = step(proposedAuthority(steady, undefined, nowMs), 'adding', two);
    const switching = step(adding, 'switching');
    const removing = step(switching, 'removing');
    const rows = [steady, adding, switching, removing, step(removing, 'steady')].map((secret) => {
      const { phase, signer, isRotationAsked } = held(secret);
      return [phase, signer.keyPem === one.keyPem ? 'one' : 'two', bundle(secret), isRotationAsked];
    });
    const [first, second] = [one.certificatePem, two.certificatePem];
    expect(rows).toEqual([
      ['steady', 'one', first, false],
      ['adding', 'one', first + second, false],
      ['switching', 'two', second + first, false],
      ['removing', 'two', second, false],
      ['steady', 'two', second, false],
    ]);
    const old = Buffer.from(one.keyPem).toString('base64');
    expect(JSON.stringify(switching)).not.toContain(old);
  });

  test('notes when a phase began, and keeps what others wrote on the Secret', async () => {
    const secret = {
      ...secretOf(await made()),
      metadata: {
        name: 'weft-ca',
        resourceVersion: '7',
        annotations: { 'weft.dev/trust-domain': trustDomain, 'example.org/note': 'x' },
      },
    };
    const adding = step(secret, 'adding', await made());
    expect(held(adding).phaseSinceMs).toBe(nowMs + 1_000);
    expect(adding).toMatchObject({
      type: 'kubernetes.io/tls',
      metadata: { resourceVersion: '7', annotations: { 'example.org/note': 'x' } },
    });
  });

  test('is asked for with a signer or without', async () => {
    const [one, two] = [await made(), await made()];
    const plain = proposedAuthority(secretOf(one), undefined, nowMs);
    expect([held(plain).isRotationAsked, readProposed(plain, options)]).toEqual([true, undefined]);
    const brought = proposedAuthority(secretOf(one), two, nowMs);
    expect(readProposed(brought, options)).toMatchObject({ signer: { keyPem: two.keyPem } });
    // It signs for nobody yet, and nobody trusts it.
    expect(bundle(brought)).toBe(one.certificatePem);
    expect(held(step(brought, 'adding')).next?.keyPem).toBe(two.keyPem);
  });
});

describe('a Secret is faulty', () => {
  const annotations = (secret: unknown, more: object): unknown => {
    const { metadata } = secret as Secret;
    return {
      ...(secret as Secret),
      metadata: { ...metadata, annotations: { ...metadata.annotations, ...more } },
    };
  };
  const data = (secret: unknown, more: object): unknown => {
    const whole = secret as Secret;
    return { ...whole, data: { ...whole.data, ...more } };
  };
  const text = (value: string): string => Buffer.from(value).toString('base64');

  test('when its trust domain is another one, or none', async () => {
    const secret = secretOf(await made());
    for (const domain of ['other.example', undefined]) {
      const foreign = annotations(secret, { 'weft.dev/trust-domain': domain });
      expect(readAuthority(foreign, options)).toMatchObject({ reason: 'TrustDomainForeign' });
    }
  });

  test.each([
    ['certificate', { 'tls.crt': undefined }],
    ['key', { 'tls.key': undefined }],
    ['readable certificate', { 'tls.crt': text('none') }],
    ['readable key', { 'tls.key': text('none') }],
  ])('when there is no %s', async (_what, change) => {
    const reading = readAuthority(data(secretOf(await made()), change), options);
    expect(reading).toMatchObject({ reason: 'AuthorityRefused' });
  });

  test('when it has expired, or the key is another one’s', async () => {
    const [one, two] = [await made(), await made()];
    const later = { ...options, nowMs: nowMs + 11 * 365 * 86_400_000 };
    expect(readAuthority(secretOf(one), later)).toMatchObject({ reason: 'AuthorityRefused' });
    const mixed = secretOf({ ...one, keyPem: two.keyPem });
    expect(readAuthority(mixed, options)).toMatchObject({ reason: 'AuthorityRefused' });
  });

  test('when a rotation has lost the root that it needs', async () => {
    const [one, two] = [await made(), await made()];
    const adding = step(secretOf(one), 'adding', two);
    const switching = step(adding, 'switching');
    for (const broken of [
      data(adding, { 'next.crt': undefined }),
      data(adding, { 'next.key': text(one.keyPem) }),
      data(switching, { 'previous.crt': undefined }),
      data(switching, { 'previous.crt': text(one.certificatePem + two.certificatePem) }),
    ]) {
      expect(readAuthority(broken, options)).toMatchObject({ reason: 'AuthorityRefused' });
    }
  });

  test('and no message quotes a key', async () => {
    const one = await made();
    const mixed = secretOf({ ...one, keyPem: (await made()).keyPem });
    const reading = JSON.stringify(readAuthority(mixed, options));
    expect(reading).not.toContain('PRIVATE');
    expect(reading).not.toContain(one.keyPem.split('\n')[1]);
  });
});
