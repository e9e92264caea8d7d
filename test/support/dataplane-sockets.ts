// Raw sockets for tests of the data plane: a client that records what it gets, and an upstream
// whose every byte the test decides. Nothing here parses more than it must.
import net from 'node:net';

/** A port that nobody listens on right now. */
export function freePort(address: string): Promise<number> {
  return new Promise((done, fail) => {
    const server = net.createServer();
    server.on('error', fail);
    server.listen(0, address, () => {
      const bound = server.address();
      const port = bound === null || typeof bound === 'string' ? 0 : bound.port;
      server.close(() => done(port));
    });
  });
}
