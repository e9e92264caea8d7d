// The parser of answers is there before the first answer: what Node compiles as WebAssembly is
// counted before and after one.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { request } from 'undici';
import { readyParser } from './ready-parser.ts';

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
    const { body } = await request(`http://127.0.0.1:${port}/`);
    expect(await body.text()).toBe('ok');
    expect([before, compiled]).toEqual([1, 1]);
  } finally {
    WebAssembly.Module = native;
    server.close();
  }
});
