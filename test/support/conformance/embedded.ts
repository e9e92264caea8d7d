// The embedded API server as a target of the conformance cases.
// Over HTTPS, as kubectl needs it.
import { realRuntime } from '../../../src/main/runtime.ts';
import { startApiServer } from '../../../src/playground/index.ts';
import type { ApiTarget } from './api-client.ts';

export async function embeddedTarget(): Promise<ApiTarget> {
  const server = await startApiServer({ runtime: realRuntime });
  // A revision before everything that is kept, so that "too old" can be asked for.
  server.compact();
  return {
    url: server.url,
    token: server.adminToken,
    isEmbedded: true,
    forgottenRevision: '1',
    stop: () => server.close(),
  };
}
