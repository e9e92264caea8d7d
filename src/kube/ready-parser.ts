// undici's parser of answers is WebAssembly, compiled at the first answer, in one turn: 13 to 30 ms
// in which a proxy that listens already answers no probe and no name. This lets it happen before.
import { Socket } from 'node:net';
import { Client } from './undici.ts';

/** Nothing is sent anywhere; later calls find the parser there. Never rejects. */
export function readyParser(): Promise<void> {
  const ended = new Socket().destroy();
  return new Promise((resolve) => {
    const client = new Client('http://127.0.0.1', {
      connect: (_options, done) => {
        // The parser is made before undici sees that the connection has ended.
        done(null, ended);
        client.destroy().then(resolve, resolve);
      },
    });
    client.request({ method: 'GET', path: '/' }).catch(() => undefined);
  });
}
