// Who may have which page of the admin port: tables of peers, Host headers and methods.
// The port itself: admin-server.test.ts.
import { describe, expect, test } from 'vitest';
import { adminRefusal } from './admin-access.ts';
import type { AdminAsker } from './admin-access.ts';

const asker = (changes: Partial<AdminAsker>): AdminAsker => ({
  method: 'GET',
  path: '/debug/config',
  peer: '127.0.0.1',
  host: 'localhost:15020',
  origin: undefined,
  ...changes,
});

describe('adminRefusal', () => {
  test.each([
    ['health from anywhere', 'loopback', { path: '/livez', peer: '10.1.2.3', host: 'a.example' }],
    ['metrics from anywhere', 'loopback', { path: '/metrics', peer: '10.1.2.3', host: 'p:1' }],
    ['debug from loopback', 'loopback', {}],
    ['debug from IPv6 loopback', 'loopback', { peer: '::1', host: '[::1]:15020' }],
    ['debug from mapped loopback', 'loopback', { peer: '::ffff:127.0.0.1' }],
    ['debug from afar with any', 'any', { peer: '10.1.2.3', host: '10.9.8.7:15020' }],
    ['POST from loopback', 'loopback', { method: 'POST', path: '/debug/drain' }],
    ['POST from afar with any', 'any', { method: 'POST', peer: '10.1.2.3', host: '10.9.8.7' }],
  ] as const)('%s is allowed', (_what, debugFrom, changes) => {
    expect(adminRefusal(debugFrom, asker(changes))).toBeUndefined();
  });

  test.each([
    ['debug from a pod', 'loopback', { peer: '10.1.2.3', host: '10.9.8.7' }],
    ['debug from a mapped pod address', 'loopback', { peer: '::ffff:10.1.2.3' }],
    ['an address that only looks like loopback', 'loopback', { peer: '::ffff:7f00:1' }],
    ['a peer that is unknown', 'loopback', { peer: '' }],
    ['debug under a DNS name', 'any', { host: 'rebind.example' }],
    ['debug under no name', 'any', { host: '' }],
    ['POST from afar', 'loopback', { method: 'POST', peer: '10.1.2.3', host: '10.9.8.7' }],
    ['POST outside debug', 'loopback', { method: 'POST', path: '/livez', peer: '10.1.2.3' }],
    ['POST of a page', 'loopback', { method: 'POST', origin: 'http://localhost:3000' }],
  ] as const)('%s is refused', (_what, debugFrom, changes) => {
    expect(adminRefusal(debugFrom, asker(changes))).toBeDefined();
  });
});
