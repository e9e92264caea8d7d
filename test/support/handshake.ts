// A real TLS 1.3 handshake in which a client shows a certificate: what OpenSSL says of it, with the
// options that tunnels use, but without breaking the connection, so that the verdict can be seen.
import { once } from 'node:events';
import type { KeyObject } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type Server, type TLSSocket } from 'node:tls';

export type Shown = { readonly pem: string; readonly key: KeyObject };

/** `accepted`: OpenSSL has validated the path. Else its code, or why it could not even be shown. */
export type OpensslVerdict =
  | { readonly kind: 'accepted' }
  | { readonly kind: 'refused'; readonly code: string };

export class HandshakeServer {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async open(shown: Shown, rootPem: string): Promise<HandshakeServer> {
    const server = createServer({
      key: keyText(shown.key),
      cert: shown.pem,
      ca: rootPem,
      requestCert: true,
      rejectUnauthorized: false,
      minVersion: 'TLSv1.3',
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new HandshakeServer(server);
  }

  /** What OpenSSL says of a client that shows this. */
  async judge(shown: Shown): Promise<OpensslVerdict> {
    const { port } = this.#server.address() as AddressInfo;
    const seen = new Promise<OpensslVerdict>((resolve) => {
      this.#server.once('secureConnection', (socket: TLSSocket) => {
        socket.on('error', () => undefined);
        const code = socket.authorizationError;
        // With TLS 1.3 a missing certificate is an error code like any other.
        resolve(socket.authorized ? { kind: 'accepted' } : { kind: 'refused', code: `${code}` });
        socket.destroy();
      });
      this.#server.once('tlsClientError', (error: NodeJS.ErrnoException) => {
        resolve({ kind: 'refused', code: error.code ?? error.message });
      });
    });
    try {
      const key = keyText(shown.key);
      const options = { port, host: '127.0.0.1', key, cert: shown.pem, rejectUnauthorized: false };
      const client = connect(options);
      client.on('error', () => undefined);
      return await seen;
    } catch (error) {
      return { kind: 'refused', code: error instanceof Error ? error.message : 'unknown' };
    } finally {
      this.#server.removeAllListeners('secureConnection');
      this.#server.removeAllListeners('tlsClientError');
    }
  }

  async close(): Promise<void> {
    this.#server.close();
    await once(this.#server, 'close');
  }
}

function keyText(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}
