// What the values of our annotations look like, as patterns for the API server's CEL: one for each
// setting of the table in `api`, which the compiler checks. A pattern may take more than the reader
// of the setting does (a duration of 25 hours, an expression that does not parse), because the
// conditions of the mesh tell those; it must never refuse what a reader takes. A test holds them
// against the readers.
import type { settingTable } from '../../api/index.ts';

export type SettingName = keyof typeof settingTable;

const number = '[0-9]+(?:\\.[0-9]+)?';
/** Units from the largest to the smallest, each at most once, at least one. */
const duration = durationOf(['h', 'm', 's', 'ms']);
const percent = '(?:[0-9]{1,2}|0[0-9]{2}|100)(?:\\.[0-9]{1,6})?%?';
const count = '[1-9][0-9]{0,9}';
const rate = '[0-9]{1,10}(?:\\.[0-9]{1,6})?';
const size =
  '[+-]?(?:[0-9]+(?:\\.[0-9]*)?|\\.[0-9]+)(?:[KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]{1,3})?';
const status = '[45][0-9]{2}';
const token = '[!#$%&\'*+.^_`|~0-9A-Za-z-]+';
const fault = oneOf(`abort=[2-5][0-9]{2}@${percent}`, `delay=${duration}@${percent}`);
const condition = oneOf(
  'connect-failure', 'reset', 'refused-stream', '5xx', 'gateway-error', 'retriable-4xx',
  'unavailable', status,
);

function durationOf(units: readonly string[]): string {
  const starts = units.map((unit, index) => {
    const smaller = units.slice(index + 1).map((one) => `(?:${number}${one})?`);
    return `${number}${unit}${smaller.join('')}`;
  });
  return oneOf(...starts);
}

function oneOf(...patterns: readonly string[]): string {
  return `(?:${patterns.join('|')})`;
}

/** Items with commas between, blanks around them. */
function listOf(pattern: string): string {
  return `${pattern}(?:\\s*,\\s*${pattern})*`;
}

/** RE2, for the whole text without the blanks around it. */
export const settingPatterns: { readonly [N in SettingName]: string } = {
  trafficType: 'http|tcp|udp',
  upstreamHost: '[A-Za-z0-9_.-]{1,253}(?::[0-9]{1,5})?',
  scheme: 'http|h2c|https',
  tlsVerify: 'off|system|configmap/[a-z0-9.-]{1,253}',
  retryAttempts: '[0-9]|10',
  retryOn: listOf(condition),
  retryBudgetPercent: percent,
  timeoutMs: duration,
  connectTimeoutMs: duration,
  idleTimeoutMs: duration,
  perTryTimeoutMs: duration,
  // An expression has a call in it; whether it parses, the conditions tell.
  circuitBreaker: 'off|[\\s\\S]*\\([\\s\\S]*',
  outlierDetection: 'on|off',
  rateLimitAverage: rate,
  rateLimitBurst: count,
  maxRequestBodyBytes: size,
  maxConnections: count,
  maxRequests: count,
  loadBalancer:
    `ewma|least-request|round-robin|hash:source|hash:header=${token}|hash:cookie=${token}`,
  mirror: `[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?::[0-9]{1,5})?(?:@${percent})?`,
  traffic: 'stop',
  healthCheck: `/[!-~]*@${duration}`,
  hedgeAfter: oneOf('p95', duration),
  fault: listOf(fault),
  policy: 'off|audit|enforce',
  mtls: 'off|permissive|strict',
};
