// Mutated messages through the HTTP/1.1 codec. Whatever the bytes: nothing is thrown, the reading
// does not depend on the cut, and what was accepted is written as bytes that read as the same
// messages. WEFT_FUZZ_SECONDS lengthens the run, WEFT_FUZZ_SEED starts it elsewhere.
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../src/lib/random.ts';
import type { Fields } from '../../src/dataplane/http1/fields.ts';
import type { HttpRequestHead } from '../../src/dataplane/http1/request-head.ts';
import type { HttpResponseHead } from '../../src/dataplane/http1/response-head.ts';
import { cut, readRequests, readResponses, summary } from './http1-messages.ts';
import type { Seen } from './http1-messages.ts';
import { cutPositions, mutate, pick, seedsOf } from './http1-mutations.ts';
import { rewriteRequest, rewriteResponse } from './http1-rewrite.ts';

const seconds = Number(process.env['WEFT_FUZZ_SECONDS'] ?? '1');
const firstSeed = Number(process.env['WEFT_FUZZ_SEED'] ?? '1');
const timeoutMs = seconds * 1000 + 20_000;

/** Fields that are written anew or left out; all others must arrive as they were. */
const remade = new RegExp(
  '^(host|connection|content-length|transfer-encoding|te|trailer|upgrade|keep-alive|' +
    'proxy-connection|http2-settings|x-forwarded-(for|host|proto|port|client-cert)|forwarded|' +
    'x-request-id|traceparent|tracestate|l5d-client-id|proxy-authorization|via|max-forwards|' +
    'expect|weft-.*|x-mesh-.*)$',
);

function passedFields(fields: Fields, nominated: ReadonlySet<string>): string[] {
  return [...fields]
    .filter(([name]) => !remade.test(name.toLowerCase().replaceAll('_', '-')))
    .filter(([name]) => !nominated.has(name.toLowerCase()))
    .map(([name, value]) => `${name}: ${value}`);
}

function requestFacts({ head, body }: Seen<HttpRequestHead>): unknown {
  const { method, target, path, authority, hostname, framing, upgrade } = head;
  const fields = passedFields(head.fields, head.nominated);
  return { method, target, path, authority, hostname, framing, upgrade, body, fields };
}

function responseFacts({ head, body }: Seen<HttpResponseHead>): unknown {
  const { status, statusText } = head;
  return { status, statusText, body, fields: passedFields(head.fields, head.nominated) };
}

/** Runs `check` for fresh seeds until the time is over; a failure names its seed. */
function fuzz(check: (seed: number) => void): void {
  const until = Date.now() + seconds * 1000;
  for (let seed = firstSeed; seed === firstSeed || Date.now() < until; seed += 1) check(seed);
}

describe('mutated requests', () => {
  const seeds = seedsOf('request');

  test('read the same however they are cut, and are forwarded as they were read', () => {
    let accepted = 0;
    fuzz((seed) => {
      const random = seededRandom(seed);
      const text = mutate(pick(seeds, random), random);
      const label = `seed ${seed}: ${JSON.stringify(text)}`;
      const whole = readRequests(cut(text));
      const inPieces = readRequests(cut(text, ...cutPositions(text, random)));
      expect(summary(inPieces), label).toBe(summary(whole));
      accepted += whole.messages.length;
      const again = readRequests(cut(whole.messages.map(rewriteRequest).join('')));
      expect(again.end.kind, label).toBe('idle');
      expect(again.messages.map(requestFacts), label).toEqual(whole.messages.map(requestFacts));
    });
    // A fuzzer whose every input is refused at the first byte would prove nothing.
    expect(accepted).toBeGreaterThan(0);
  }, timeoutMs);
});

describe('mutated responses', () => {
  const seeds = seedsOf('response');
  const requests = [
    { method: 'GET', upgrade: undefined },
    { method: 'HEAD', upgrade: undefined },
    { method: 'GET', upgrade: 'websocket' },
  ];

  test('read the same however they are cut, and are forwarded as they were read', () => {
    let accepted = 0;
    fuzz((seed) => {
      const random = seededRandom(seed);
      const request = pick(requests, random);
      const text = mutate(pick(seeds, random), random);
      const label = `seed ${seed}: ${JSON.stringify(text)}`;
      const whole = readResponses(cut(text), request);
      const inPieces = readResponses(cut(text, ...cutPositions(text, random)), request);
      expect(summary(inPieces), label).toBe(summary(whole));
      accepted += whole.messages.length;
      const again = readResponses(cut(whole.messages.map(rewriteResponse).join('')), request);
      expect(again.end.kind === 'reject', label).toBe(false);
      expect(again.messages.map(responseFacts), label).toEqual(whole.messages.map(responseFacts));
    });
    expect(accepted).toBeGreaterThan(0);
  }, timeoutMs);
});
