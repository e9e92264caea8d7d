// Which backend of a split takes a request: its turn is a counter that all workers share, so that
// the shares hold for the proxy. The request counts for the retry budget of its service here, too:
// once, whatever is tried for it.
import { pickBackend } from '../route/index.ts';
import type { Backend, Split, VirtualHost } from '../route/index.ts';
import type { Engine } from './engine.ts';

/** The backend of the next request, which all its attempts keep to. */
export function takeTurn(engine: Engine, host: VirtualHost, split: Split): Backend {
  const { slots, budgets, clock } = engine;
  budgets.deposit(host, clock.wallMs());
  const turn = Atomics.add(slots.cells.split, slots.offset('split', split.key), 1);
  return pickBackend(split, turn);
}
