// Door of `cli`: the command line of the one binary.
// Long-running commands are wired in by `main`.
export { runCli, type CliWiring } from './run-cli.ts';
