// Which identity each key was certified for lately: one key, one identity (`KeyReused`). It is
// bounded and in memory: a new leader begins with none, and then a proxy that gives one key to two
// of its own identities is noticed later. Nobody else's identity is at stake: a request proves that
// its author has the key.

/** A day's certificates of 500 busy nodes; the oldest are forgotten. */
const keysMax = 100_000;

export class KeyRegister {
  readonly #owners = new Map<string, string>();

  /** By fingerprint of the public key. */
  get owners(): ReadonlyMap<string, string> {
    return this.#owners;
  }

  note(fingerprint: string, owner: string): void {
    this.#owners.delete(fingerprint);
    this.#owners.set(fingerprint, owner);
    for (const oldest of this.#owners.keys()) {
      if (this.#owners.size <= keysMax) return;
      this.#owners.delete(oldest);
    }
  }
}
