// What belongs to a list of label texts, found without building a key: one Map per label, so that a
// look-up on the hot path hashes nothing (names of the cluster's objects keep their hash) and
// allocates nothing. Bounded: past the limit it forgets everything and starts anew, which costs its
// callers a slow look-up each and loses no count.

type Vertex<T> = { leaf: T | undefined; readonly children: Map<string, Vertex<T>> };

export class LabelTree<T> {
  readonly #leavesMax: number;
  #root: Vertex<T> = { leaf: undefined, children: new Map() };
  #leaves = 0;

  constructor(leavesMax: number) {
    this.#leavesMax = leavesMax;
  }

  /** All lists of one tree have the same length. */
  get(labels: readonly string[]): T | undefined {
    let vertex: Vertex<T> | undefined = this.#root;
    for (const label of labels) {
      vertex = vertex.children.get(label);
      if (vertex === undefined) return undefined;
    }
    return vertex.leaf;
  }

  set(labels: readonly string[], leaf: T): void {
    if (this.#leaves >= this.#leavesMax) {
      this.#root = { leaf: undefined, children: new Map() };
      this.#leaves = 0;
    }
    let vertex = this.#root;
    for (const label of labels) {
      let next = vertex.children.get(label);
      if (next === undefined) {
        next = { leaf: undefined, children: new Map() };
        vertex.children.set(label, next);
      }
      vertex = next;
    }
    if (vertex.leaf === undefined) this.#leaves += 1;
    vertex.leaf = leaf;
  }
}
