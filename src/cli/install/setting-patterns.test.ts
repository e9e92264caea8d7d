// The patterns of the admission policy against the readers of the settings: what a reader takes the
// API server must take, and the typos that people make it must not.
import { describe, expect, test } from 'vitest';
import { settingTable } from '../../api/index.ts';
import { seededRandom } from '../../lib/random.ts';
import { settingPatterns, type SettingName } from './setting-patterns.ts';

type Samples = { readonly right: readonly string[]; readonly wrong: readonly string[] };

const durations: Samples = {
  right: ['250ms', '5s', '1m30s', '1.5s', '1h', '24h', '1h2m3s4ms'],
  wrong: ['5', '5 s', '5sec', 's', '', '5s1h', '-5s', '1d'],
};
const counts: Samples = {
  right: ['1', '100', '1000000000'],
  wrong: ['0', '-1', '1.5', 'many', ''],
};

const samples: { readonly [N in SettingName]: Samples } = {
  trafficType: { right: ['http', 'tcp', 'udp'], wrong: ['HTTP', 'https', 'http,tcp', ''] },
  upstreamHost: {
    right: ['preserve', 'service', 'shop.example.com', 'a_b:8080'],
    wrong: ['http://x', 'a b', 'x:http', ''],
  },
  scheme: { right: ['http', 'h2c', 'https'], wrong: ['h2', 'HTTPS', 'grpc'] },
  tlsVerify: {
    right: ['off', 'system', 'configmap/ca.x'],
    wrong: ['on', 'configmap/', 'secret/x'],
  },
  retryAttempts: { right: ['0', '3', '10'], wrong: ['11', '-1', 'three', '03'] },
  retryOn: {
    right: ['reset', '5xx, reset', '503,connect-failure', 'retriable-4xx', 'unavailable'],
    wrong: ['resets', '5xx reset', '200', ',', ''],
  },
  retryBudgetPercent: {
    right: ['20', '20%', '0.5%', '100', '100%', '099', '100.0'],
    wrong: ['-1', '%', '200', 'a%'],
  },
  timeoutMs: durations,
  connectTimeoutMs: durations,
  idleTimeoutMs: durations,
  perTryTimeoutMs: durations,
  circuitBreaker: {
    right: [
      'off',
      'NetworkErrorRatio() > 0.3',
      '!(NetworkErrorRatio() < 0.3)',
      '!NetworkErrorRatio() <= 0.3',
      'LatencyAtQuantileMS(50.0) > 100 || ResponseCodeRatio(500,600,0,600) > 0.3',
    ],
    wrong: ['on', 'NetworkErrorRatio > 0.3', ''],
  },
  outlierDetection: { right: ['on', 'off'], wrong: ['true', 'On', ''] },
  rateLimitAverage: { right: ['10', '0.5', '1000000'], wrong: ['-1', '10/s', '1e3', ''] },
  rateLimitBurst: counts,
  maxRequestBodyBytes: {
    right: ['10Mi', '512k', '4096', '1e6', '.5Ki', '5.', '+1', '0'],
    wrong: ['10MB', '10 Mi', 'Mi', '1KB'],
  },
  maxConnections: counts,
  maxRequests: counts,
  loadBalancer: {
    right: [
      'ewma', 'least-request', 'round-robin', 'hash:source', 'hash:header=x-user', 'hash:cookie=id',
    ],
    wrong: ['random', 'hash', 'hash:header=', 'hash:path', 'EWMA'],
  },
  mirror: {
    right: ['web', 'web:80', 'web@10%', 'web:8080@0.5', 'a-b:1@100%'],
    wrong: ['web.other', 'Web', 'web:http', 'web@', 'web@200%', ''],
  },
  traffic: { right: ['stop'], wrong: ['Stop', 'on', 'start'] },
  healthCheck: {
    right: ['/healthz@5s', '/a?b=@x@250ms', '/@1m'],
    wrong: ['healthz@5s', '/healthz', '/x@5', '/a b@5s'],
  },
  hedgeAfter: { right: ['p95', '50ms'], wrong: ['p99', '95', ''] },
  fault: {
    right: ['abort=503@5%', 'delay=200ms@10%', 'abort=503@5%, delay=200ms@10%'],
    wrong: ['abort=503', 'abort=100@5%', 'delay=200@5%', 'abort', ''],
  },
  policy: { right: ['off', 'audit', 'enforce'], wrong: ['on', 'enforced', 'Audit', 'false'] },
  mtls: { right: ['off', 'permissive', 'strict'], wrong: ['on', 'STRICT', 'disabled'] },
};

// The keys of a record whose type lists them all.
const names = Object.keys(samples) as readonly SettingName[];
const random = seededRandom(20_251_121);

function isTaken(name: SettingName, text: string): boolean {
  return new RegExp(`^\\s*(?:${settingPatterns[name]})\\s*$`).test(text);
}

/** One small edit, as fingers make them. */
function edited(text: string): string {
  const at = Math.floor(random() * (text.length + 1));
  const alphabet = '0159.%@,:/=-msh iKMex+';
  const letter = alphabet[Math.floor(random() * alphabet.length)] ?? '0';
  switch (Math.floor(random() * 3)) {
    case 0:
      return text.slice(0, at) + letter + text.slice(at);
    case 1:
      return text.slice(0, at) + text.slice(at + 1);
    default:
      return text.slice(0, at) + letter + text.slice(at + 1);
  }
}

describe.each(names)('%s', (name) => {
  const { right, wrong } = samples[name];
  const read = settingTable[name].spellings[0]?.read;

  test('the samples are what the reader thinks of them', () => {
    expect(right.filter((text) => read?.(text) === undefined)).toEqual([]);
    expect(wrong.filter((text) => read?.(text) !== undefined)).toEqual([]);
  });

  test('takes what is right, with blanks around it, and refuses typos', () => {
    expect(right.filter((text) => !isTaken(name, ` ${text}\n`))).toEqual([]);
    expect(wrong.filter((text) => isTaken(name, text))).toEqual([]);
  });

  test('takes every text that the reader takes', () => {
    const refused: string[] = [];
    for (let round = 0; round < 3_000; round += 1) {
      const start = right[round % right.length] ?? '';
      const text = random() < 0.5 ? edited(start) : edited(edited(start));
      if (read?.(text.trim()) !== undefined && !isTaken(name, text)) refused.push(text);
    }
    expect(refused).toEqual([]);
  });
});
