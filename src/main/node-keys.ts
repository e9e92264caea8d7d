// Keys and secret randomness of node:crypto: the only implementation outside tests (A12). Keys are
// made on a thread of libuv, so that a hundred of them stop no traffic.
import { generateKeyPair, randomBytes, sign } from 'node:crypto';
import { promisify } from 'node:util';
import type { KeyMaker } from '../lib/keys.ts';

const makePair = promisify(generateKeyPair);

export const nodeKeys: KeyMaker = {
  makeKey: async () => {
    const { publicKey, privateKey } = await makePair('ec', { namedCurve: 'P-256' });
    return {
      privateKeyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      publicKeySpki: publicKey.export({ type: 'spki', format: 'der' }),
      sign: (bytes) => sign('sha256', bytes, privateKey),
    };
  },
  randomBytes: (count) => randomBytes(count),
};
