// The seam to local files: only `main` (and tests) make implementations. Just what a process of the
// mesh reads of its machine, and the one thing that it may keep there.

export type LocalFiles = {
  /** Whole text of a small file; rejects when it cannot be read or is longer than `bytesMax`. */
  readonly readText: (path: string, bytesMax: number) => Promise<string>;
  /** Replaces the file in one step; only this user can read it (0600). */
  readonly writePrivate: (path: string, text: string) => Promise<void>;
  /** The type of the file system under the path (`f_type` of statfs(2)). */
  readonly fileSystemType: (path: string) => Promise<number>;
};
