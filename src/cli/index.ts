// Door of `cli`: the command line of the one binary, and the pages that document it.
// Long-running commands are wired in by `main`.
export { renderReferences } from './reference.ts';
export { runCli, type CliWiring } from './run-cli.ts';
