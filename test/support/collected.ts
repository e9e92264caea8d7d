// Whether something is still held by somebody: for tests of what is forgotten. The garbage
// collector is asked for by a flag that is set here, as the test runner does not expose it.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** How many of `made` are left when everything that nobody holds is gone. */
export async function heldOf(count: number, make: () => object): Promise<number> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const made = Array.from({ length: count }, () => new WeakRef(make()));
  // A WeakRef keeps its object until the turn in which it was made is over.
  await new Promise((done) => setImmediate(done));
  collect();
  return made.filter((one) => one.deref() !== undefined).length;
}
