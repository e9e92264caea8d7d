// A way to a server that can be cut: a TCP relay on a free port. It looks at no byte.
// What is sent while it is closed is lost, as behind a broken switch.
import { createConnection, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

export type CuttableLink = {
  readonly port: number;
  /** Resets what is open. */
  readonly cut: () => void;
  /** While closed, connections are accepted and reset at once. */
  readonly setOpen: (isOpen: boolean) => void;
  readonly stop: () => Promise<void>;
};

export async function openLink(targetPort: number): Promise<CuttableLink> {
  const sockets = new Set<Socket>();
  let isOpen = true;
  const keep = (socket: Socket): void => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
  };
  const server = createServer((down) => {
    keep(down);
    if (!isOpen) {
      down.resetAndDestroy();
      return;
    }
    const up = createConnection(targetPort, '127.0.0.1');
    keep(up);
    down.pipe(up);
    up.pipe(down);
    down.on('close', () => up.destroy());
    up.on('close', () => down.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const cut = (): void => {
    for (const socket of [...sockets]) socket.resetAndDestroy();
  };
  return {
    // The address of a listening TCP server is never a string.
    port: (server.address() as AddressInfo).port,
    cut,
    setOpen: (open) => {
      isOpen = open;
      if (!open) cut();
    },
    stop: async () => {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
