// Local files of node:fs: the only implementation outside tests (A12). It reads what is there and
// replaces a file in one step, so that nobody ever reads half of one.
import { open, rename, statfs } from 'node:fs/promises';
import type { LocalFiles } from '../lib/files.ts';

const privateMode = 0o600;

export const nodeFiles: LocalFiles = {
  readText: async (path, bytesMax) => {
    const file = await open(path, 'r');
    try {
      // Files of /proc say that they have no size: what is read is what there is.
      const buffer = Buffer.alloc(bytesMax + 1);
      let length = 0;
      while (length <= bytesMax) {
        const { bytesRead } = await file.read(buffer, length, buffer.length - length, null);
        if (bytesRead === 0) return buffer.toString('utf8', 0, length);
        length += bytesRead;
      }
      throw new Error(`${path} is longer than ${bytesMax} bytes`);
    } finally {
      await file.close();
    }
  },
  writePrivate: async (path, text) => {
    const next = `${path}.next`;
    const file = await open(next, 'w', privateMode);
    try {
      // The mode counts only for a new file; one that somebody left there gets it too.
      await file.chmod(privateMode);
      await file.writeFile(text);
    } finally {
      await file.close();
    }
    await rename(next, path);
  },
  fileSystemType: async (path) => (await statfs(path)).type,
};
