// The real clock, timers and chance, for tests that talk to a real API server.
// They are those of production: nothing of it is simulated here.
export { realRuntime } from '../../../src/main/runtime.ts';
