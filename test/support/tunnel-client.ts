// The client side of a tunnel by hand, for tests of who is let in: every option of TLS is the
// test's, and what the other side does is written down.
import { constants } from 'node:crypto';
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import type { Credential } from '../../src/identity/index.ts';
import { nodeAddress } from './tunnel-mesh.ts';

export type Outcome = {
  /** Everything that came, latin1: the greeting, and answers. */
  readonly text: string;
  readonly isSecured: boolean;
  readonly errorCode: string | undefined;
};

export type DialedBy = {
  readonly port: number;
  readonly credential?: Pick<Credential, 'certificatePem' | 'keyPem'>;
  readonly trustPem: string;
  readonly localAddress?: string;
  readonly options?: ConnectionOptions;
};

export function dialTunnel(by: DialedBy): TLSSocket {
  const options: ConnectionOptions & { readonly localAddress: string } = {
    host: nodeAddress['node-b'],
    port: by.port,
    localAddress: by.localAddress ?? nodeAddress['node-a'],
    ca: by.trustPem,
    ...(by.credential === undefined
      ? {}
      : { cert: by.credential.certificatePem, key: by.credential.keyPem }),
    ALPNProtocols: ['weft-h1/1'],
    minVersion: 'TLSv1.3',
    secureOptions: constants.SSL_OP_NO_TICKET,
    checkServerIdentity: () => undefined,
    ...by.options,
  };
  return connect(options);
}

/** Dials and waits for the end, or for the greeting. */
export function tryTunnel(by: DialedBy): Promise<Outcome> {
  return new Promise((resolve) => {
    const socket = dialTunnel(by);
    let text = '';
    let isSecured = false;
    let errorCode: string | undefined;
    const finish = (): void => {
      socket.destroy();
      resolve({ text, isSecured, errorCode });
    };
    socket.on('secureConnect', () => (isSecured = true));
    socket.on('data', (data: Buffer) => {
      text += data.toString('latin1');
      if (text.startsWith('ok ')) finish();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => (errorCode = error.code));
    socket.on('close', finish);
  });
}
