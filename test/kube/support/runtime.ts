// The real clock, timers and chance, for tests that talk to a real API server.
export { realRuntime } from '../../../src/main/runtime.ts';
