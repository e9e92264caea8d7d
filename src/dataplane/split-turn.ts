// Which backend of a split takes a request: its turn is a counter that all workers share, so that
// the shares hold for the proxy.
import { pickBackend } from '../route/index.ts';
import type { Backend, Split } from '../route/index.ts';
import type { Engine } from './engine.ts';

/** The backend of the next request, which all its attempts keep to. */
export function takeTurn({ slots }: Engine, split: Split): Backend {
  const turn = Atomics.add(slots.cells.split, slots.offset('split', split.key), 1);
  return pickBackend(split, turn);
}
