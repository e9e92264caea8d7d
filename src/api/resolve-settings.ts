// What the annotations of a Service and its Namespace add up to. For each setting the Service
// speaks first, then the Namespace, then the default; what cannot be read is a problem and
// counts as absent. Problems of a Namespace are found once, by `namespaceProblems`, not once per
// Service.
import type { Namespace, Service } from './core.ts';
import { meshLabel, retryOnDefaults, settingTable, type Setting } from './defaults.ts';
import { problemsMax } from './draft.ts';
import { describeValue } from './json.ts';
import type { Problem, ProblemReason } from './object.ts';
import type { MeshSettings, MtlsMode, PolicyMode, Resolved, ServiceSettings } from './settings.ts';

type Annotated = Service | Namespace;
type Report = (message: string, reason?: ProblemReason) => void;

const perPortPrefix = 'weft.dev/traffic-type.';

/** All settings of a service. The problems are those of the Service alone. */
export function resolveServiceSettings(
  service: Service,
  namespace: Namespace | undefined,
): Resolved<ServiceSettings> {
  const problems: Problem[] = [];
  const report = reporter(service, problems);
  const read = <T>(setting: Setting<T>): T => {
    const own = readFrom(service, setting, report);
    if (own !== undefined) return own;
    return readFrom(namespace, setting, ignore) ?? setting.initial;
  };
  checkKeys(service, report);
  readFrom(service, settingTable.trafficType, report);
  const value = assembleSettings(read);
  checkTogether(service, value, report);
  return { value, problems };
}

type Read = <T>(setting: Setting<T>) => T;

function assembleSettings(read: Read): ServiceSettings {
  const retryAttempts = read(settingTable.retryAttempts);
  const average = read(settingTable.rateLimitAverage);
  const burst = read(settingTable.rateLimitBurst);
  const breaker = read(settingTable.circuitBreaker);
  const retryOn =
    retryAttempts === undefined ? retryOnDefaults.without : retryOnDefaults.withAttempts;
  return {
    upstreamHost: read(settingTable.upstreamHost),
    scheme: read(settingTable.scheme),
    tlsVerify: read(settingTable.tlsVerify),
    retryAttempts,
    retryOn: read(settingTable.retryOn) ?? retryOn,
    retryBudgetPercent: read(settingTable.retryBudgetPercent),
    timeoutMs: read(settingTable.timeoutMs),
    connectTimeoutMs: read(settingTable.connectTimeoutMs),
    idleTimeoutMs: read(settingTable.idleTimeoutMs),
    perTryTimeoutMs: read(settingTable.perTryTimeoutMs),
    circuitBreaker: breaker === 'off' ? undefined : breaker,
    outlierDetection: read(settingTable.outlierDetection) === 'on',
    rateLimitAverage: average,
    rateLimitBurst:
      average === undefined ? undefined : (burst ?? Math.max(1, Math.ceil(average))),
    maxRequestBodyBytes: read(settingTable.maxRequestBodyBytes),
    maxConnections: read(settingTable.maxConnections),
    maxRequests: read(settingTable.maxRequests),
    loadBalancer: read(settingTable.loadBalancer),
    mirror: read(settingTable.mirror),
    isStopped: read(settingTable.traffic) === 'stop',
    healthCheck: read(settingTable.healthCheck),
    hedgeAfter: read(settingTable.hedgeAfter),
    fault: read(settingTable.fault),
  };
}

/** Settings that mean nothing without another one are told, as Maesh did not. */
function checkTogether(service: Service, value: ServiceSettings, report: Report): void {
  const has = (setting: Setting<unknown>): boolean =>
    readFrom(service, setting, ignore) !== undefined;
  if (has(settingTable.rateLimitBurst) && value.rateLimitAverage === undefined) {
    report('rate-limit-burst limits nothing without rate-limit-average: set the average too');
  }
  if (has(settingTable.retryOn) && value.retryAttempts === undefined) {
    report('retry-on has no effect without retry-attempts: set the number of extra attempts too');
  }
  if (value.scheme === 'https') checkRoots(service, report);
  if (has(settingTable.tlsVerify) && value.scheme !== 'https') {
    report('tls-verify has no effect without scheme https: set the scheme too');
  }
}

/** Told of the object that says it. */
function checkRoots(object: Annotated, report: Report): void {
  if (typeof readFrom(object, settingTable.tlsVerify, ignore) !== 'object') return;
  const what = 'roots of a ConfigMap are not read in this version of weft';
  const effect = 'no certificate is believed, and calls are answered 502 UpstreamConnect';
  report(`annotation weft.dev/tls-verify: ${what}: ${effect}`, 'UnsupportedField');
}

/** What holds for the calls to a namespace, and all that is wrong with its annotations. */
export function resolveNamespace(
  namespace: Namespace | undefined,
  settings: MeshSettings,
): Resolved<{ readonly policy: PolicyMode; readonly mtls: MtlsMode }> {
  const policy = resolvePolicy(namespace, settings);
  const mtls = resolveMtls(namespace, settings);
  const others = namespace === undefined ? [] : namespaceProblems(namespace);
  return {
    value: { policy: policy.value, mtls: mtls.value },
    problems: [...policy.problems, ...mtls.problems, ...others],
  };
}

/** Policy of a namespace; a value that cannot be read counts as `enforce`. */
export function resolvePolicy(
  namespace: Namespace | undefined,
  settings: MeshSettings,
): Resolved<PolicyMode> {
  return readStrictly(namespace, settingTable.policy, {
    absent: settings.policy,
    unreadable: 'enforce',
  });
}

/** Mutual TLS of calls to a namespace; what cannot be read counts as `strict`. */
export function resolveMtls(
  namespace: Namespace | undefined,
  settings: MeshSettings,
): Resolved<MtlsMode> {
  return readStrictly(namespace, settingTable.mtls, {
    absent: settings.mtls,
    unreadable: 'strict',
  });
}

function readStrictly<T>(
  namespace: Namespace | undefined,
  setting: Setting<T | undefined>,
  fallback: { readonly absent: T; readonly unreadable: T },
): Resolved<T> {
  if (namespace === undefined) return { value: fallback.absent, problems: [] };
  const problems: Problem[] = [];
  const report = reporter(namespace, problems);
  const value = readFrom(namespace, setting, (message) => {
    report(`${message} (${describeValue(fallback.unreadable)} until then)`);
  });
  if (value !== undefined) return { value, problems };
  return { value: problems.length > 0 ? fallback.unreadable : fallback.absent, problems };
}

/** What is wrong with a Namespace's annotations, but what resolvePolicy and resolveMtls tell. */
export function namespaceProblems(namespace: Namespace): readonly Problem[] {
  const problems: Problem[] = [];
  const report = reporter(namespace, problems);
  checkKeys(namespace, report);
  for (const setting of allSettings()) {
    if (setting.on === 'both') readFrom(namespace, setting, report);
  }
  checkRoots(namespace, report);
  return problems;
}

function allSettings(): readonly Setting<unknown>[] {
  return Object.values(settingTable);
}

/** The first spelling that can be read; every one that cannot is reported. */
export function readFrom<T>(
  object: Annotated | undefined,
  setting: Setting<T>,
  report: Report,
): T | undefined {
  // Most Services say nothing at all.
  if (object === undefined || object.meta.annotations.size === 0) return undefined;
  if (object.kind === 'Service' && setting.on === 'namespace') return undefined;
  for (const { key, read } of setting.spellings) {
    const text = object.meta.annotations.get(key);
    if (text === undefined) continue;
    const value = read(text.trim());
    if (value !== undefined) return value;
    const fault = setting.faultOf?.(text.trim()) ?? `write ${setting.values}`;
    report(`annotation ${key} is ${describeValue(text)} and is ignored: ${fault}`);
  }
  return undefined;
}

/** Notes problems of an object, `InvalidSetting` unless another reason is given. */
export function reporter(object: Annotated, problems: Problem[]): Report {
  const { kind, meta } = object;
  return (message, reason = 'InvalidSetting') => {
    const { namespace, name } = meta;
    if (problems.length >= problemsMax) return;
    problems.push({ reason, kind, namespace, name, message });
  };
}

/** For look-ups whose problems somebody else reports. */
export function ignore(): void {}

/** Annotations of ours that nobody reads, and an opt-in label that is neither yes nor no. */
function checkKeys(object: Annotated, report: Report): void {
  const label = object.meta.labels.get(meshLabel);
  if (label !== undefined && label !== 'enabled' && label !== 'disabled') {
    report(`label ${meshLabel} is ${describeValue(label)}: write enabled or disabled`);
  }
  for (const key of object.meta.annotations.keys()) {
    if (!key.startsWith('weft.dev/')) continue;
    const fault = faultOfKey(object, key);
    if (fault !== undefined) report(`annotation ${key} ${fault}`);
  }
}

function faultOfKey(object: Annotated, key: string): string | undefined {
  const found = allSettings().find(({ spellings }) => spellings.some((one) => one.key === key));
  if (found !== undefined) {
    const isMisplaced = found.on === 'namespace' && object.kind === 'Service';
    return isMisplaced ? 'belongs on the Namespace: move it there' : undefined;
  }
  if (!key.startsWith(perPortPrefix)) return 'is not known: check its spelling';
  if (object.kind === 'Namespace') return undefined;
  const wanted = key.slice(perPortPrefix.length);
  const hasPort = object.ports.some((port) => port.name === wanted || `${port.port}` === wanted);
  return hasPort ? undefined : 'names a port that the Service does not have';
}
