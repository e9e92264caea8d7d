// A certificate for the trial of direct TLS streams, of a key that is made for it and forgotten
// with it: it names nobody, is trusted by nobody else, and never leaves loopback. The little DER
// that it takes is written here, because what issues certificates is the controller's. Valid for
// ever (RFC 5280 section 4.1.2.5): whether the clock is right is not what is tried.
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';

export type TrialCredential = {
  readonly certificatePem: string;
  readonly keyPem: string;
  readonly trustPem: string;
};

/** ecdsa-with-SHA256. */
const algorithm = sequence(Buffer.from('06082a8648ce3d040302', 'hex'));
/** CN=weft trial. */
const name = sequence(
  tagged(0x31, sequence(Buffer.from('0603550403', 'hex'), tagged(0x0c, text('weft trial')))),
);
const validity = sequence(
  tagged(0x17, text('700101000000Z')),
  tagged(0x18, text('99991231235959Z')),
);

export function trialCredential(): TrialCredential {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const serial = randomBytes(8);
  // Positive, and without a zero in front.
  serial[0] = 0x40;
  const signed = sequence(
    tagged(0x02, serial),
    algorithm,
    name,
    validity,
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
  );
  const signature = tagged(0x03, Buffer.of(0), sign('sha256', signed, privateKey));
  const der = sequence(signed, algorithm, signature);
  const certificatePem = `-----BEGIN CERTIFICATE-----\n${lines(der)}-----END CERTIFICATE-----\n`;
  const keyPem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  return { certificatePem, keyPem, trustPem: certificatePem };
}

function lines(der: Buffer): string {
  return der.toString('base64').replace(/.{1,64}/g, '$&\n');
}

function text(value: string): Buffer {
  return Buffer.from(value, 'latin1');
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return tagged(0x30, ...parts);
}

/** Contents of up to 64 kB. */
function tagged(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const head = length < 0x80
    ? [tag, length]
    : length < 0x100
      ? [tag, 0x81, length]
      : [tag, 0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from(head), content]);
}
