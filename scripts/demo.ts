// `npm run demo [-- --for 20s]`: the whole mesh on this machine, with no cluster. Wires the demo of
// the playground to the real clock, the terminal and Ctrl-C.
import { resolve } from 'node:path';
import { realRuntime } from '../src/main/runtime.ts';
import { runDemo } from '../src/playground/index.ts';

const stop = new AbortController();
process.on('SIGINT', () => stop.abort());
process.on('SIGTERM', () => stop.abort());
process.on('SIGHUP', () => stop.abort());

const root = resolve(import.meta.dirname, '..');
process.exitCode = await runDemo({
  runtime: realRuntime,
  argv: process.argv.slice(2),
  root,
  program: [process.execPath, resolve(root, 'dist/weft.js')],
  environment: process.env,
  screen: {
    write: (text) => void process.stdout.write(text),
    isTerminal: process.stdout.isTTY,
  },
  signal: stop.signal,
});
