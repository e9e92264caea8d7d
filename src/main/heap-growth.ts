// How far a heap may grow between two full collections. V8 lets it double or more, which a process
// that parses a whole cluster once and then changes little never needs: 10 to 20 MB of what is long
// dead. An unknown flag would be a line on stderr, not an end.
import { setFlagsFromString } from 'node:v8';

/** Per cent of what lives. */
const growth = 60;

/** For all threads of the process, those that already run as well. */
export function limitHeapGrowth(): void {
  setFlagsFromString(`--heap-growing-percent=${growth}`);
}
