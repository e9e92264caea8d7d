// The parser of answers is there before the first answer: what Node compiles as WebAssembly is
// counted before and after one.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { readyParser } from './ready-parser.ts';
import { Client } from './undici.ts';

type Compile = new (bytes: Uint8Array) => object;

test('the first answer finds its parser compiled', async () => {
  // Its types come with those of browsers only.
  const { WebAssembly } = globalThis as unknown as { WebAssembly: { Module: Compile } };
  const native = WebAssembly.Module;
  let compiled = 0;
  WebAssembly.Module = class extends native {
    constructor(bytes: Uint8Array) {
      super(bytes);
      compiled += 1;
    }
  };
  const server = createServer((_request, response) => response.end('ok'));
  try {
    await readyParser();
    const before = compiled;
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    // The global dispatcher may be Node's own, with a parser of its own.
    const client = new Client(`http://127.0.0.1:${port}`);
    const { body } = await client.request({ method: 'GET', path: '/' });
    expect(await body.text()).toBe('ok');
    await client.close();
    expect([before, compiled]).toEqual([1, 1]);
  } finally {
    WebAssembly.Module = native;
    server.close();
  }
});
