// The open connections of a worker, or the streams of one of them, in no order. A Set would do the
// same, and cost a third of all garbage collection where clients open a connection per request:
// whenever a Set grows or shrinks its old table stays linked to the new one, so that one old table
// which the collector has moved to the long-lived objects keeps all later ones, and the connections
// they held, until a full collection.
// Invariant: each member knows its place, and nobody else has that place.

export type Listed = {
  /** Its place in the list; the list's own business. */
  place: number;
};

export class ConnectionList<C extends Listed> {
  readonly #members: C[] = [];

  get size(): number {
    return this.#members.length;
  }

  add(connection: C): void {
    connection.place = this.#members.length;
    this.#members.push(connection);
  }

  /** Of one that is in the list; the last one takes its place. */
  remove(connection: C): void {
    const last = this.#members.pop();
    if (last === undefined || last === connection) return;
    this.#members[connection.place] = last;
    last.place = connection.place;
  }

  /** What `visit` adds or removes may or may not be visited. */
  forEach(visit: (connection: C) => void): void {
    for (const connection of [...this.#members]) visit(connection);
  }
}
