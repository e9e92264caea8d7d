// Which live numbers a snapshot needs: one key per split (its turn), per endpoint (requests in
// flight) and per service (retry budget). Counted per section, so that a change of one
// EndpointSlice costs its own keys and not those of the whole mesh.
import {
  endpointId,
  splitKey,
  type Section,
  type SectionId,
  type Snapshot,
} from '../snapshot/index.ts';
import type { SlotAllocator, SlotDelta, SlotKind } from '../telemetry/index.ts';

type Keys = readonly (readonly [kind: SlotKind, key: string])[];

type Held = { readonly text: string; readonly keys: Keys };

/** Lives as long as the proxy; follows the snapshots. */
export class SlotKeys {
  readonly #allocator: SlotAllocator;
  readonly #sections = new Map<SectionId, Held>();
  readonly #uses = new Map<string, number>();

  constructor(allocator: SlotAllocator) {
    this.#allocator = allocator;
  }

  /** Slots for the keys of `snapshot`; the answer is what the workers have to be told. */
  follow(snapshot: Snapshot): SlotDelta {
    const taken: [SlotKind, string][] = [];
    const left: [SlotKind, string][] = [];
    for (const [id, record] of snapshot.sections) {
      const held = this.#sections.get(id);
      if (held?.text === record.text) continue;
      const keys = keysOf(record.section);
      for (const [kind, key] of keys) if (this.#count(kind, key, 1) === 1) taken.push([kind, key]);
      for (const [kind, key] of held?.keys ?? []) {
        if (this.#count(kind, key, -1) === 0) left.push([kind, key]);
      }
      this.#sections.set(id, { text: record.text, keys });
    }
    for (const [id, held] of this.#sections) {
      if (snapshot.sections.has(id)) continue;
      this.#sections.delete(id);
      for (const [kind, key] of held.keys) {
        if (this.#count(kind, key, -1) === 0) left.push([kind, key]);
      }
    }
    const isUsed = ([kind, key]: readonly [SlotKind, string]): boolean =>
      this.#uses.has(kind + key);
    return this.#allocator.change(
      taken.filter(isUsed),
      left.filter((one) => !isUsed(one)),
    );
  }

  #count(kind: SlotKind, key: string, change: number): number {
    const use = kind + key;
    const uses = (this.#uses.get(use) ?? 0) + change;
    if (uses === 0) this.#uses.delete(use);
    else this.#uses.set(use, uses);
    return uses;
  }
}

function keysOf(section: Section): Keys {
  switch (section.kind) {
    case 'service':
      return [
        ['service', `${section.namespace}/${section.name}`],
        ...section.ports.flatMap(({ port, protocol, routes }) => {
          const transport = protocol === 'udp' ? protocol : undefined;
          return routes.map((route) => ['split', splitKey(route.name, port, transport)] as const);
        }),
      ];
    case 'endpoints':
      return section.backends.flatMap(({ endpoints, transport }) =>
        endpoints.map(({ address, port }) => {
          return ['endpoint', endpointId(address, port, transport)] as const;
        }),
      );
    case 'mesh':
    case 'namespaces':
    case 'permissions':
      return [];
  }
}
