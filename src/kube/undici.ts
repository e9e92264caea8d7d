// The part of undici that the product runs: clients of HTTP/1.1 and HTTP/2. The package's own door
// loads a whole browser's network beside it (fetch, WebSocket, caches, mocks), and in passing makes
// Node load its copy of the same: 15 MB that every proxy would carry. What imports `undici` itself,
// but for its types, brings that back; test/tidy.test.ts looks for it.
import calls from 'undici/lib/api/index.js';
import Agent from 'undici/lib/dispatcher/agent.js';
import Client from 'undici/lib/dispatcher/client.js';
import Dispatcher from 'undici/lib/dispatcher/dispatcher.js';
import Pool from 'undici/lib/dispatcher/pool.js';

// As undici's door does: `request` and its like are added to what dispatches.
Object.assign(Dispatcher.prototype, calls);

export { Agent, Client, Pool };
