// Facts about the machine that settings depend on: CPUs and memory as the cgroup grants them (v1
// and v2), because a CPU limit is a quota that os.availableParallelism() does not see, and whether
// this Node can share a port among workers.
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import type { MachineFacts } from '../proxy/index.ts';

/** cgroup v1 says "no limit" as a number near 2^63. */
const unlimitedBytes = 2 ** 60;

export function machineFacts(): MachineFacts {
  return {
    cpus: Math.min(availableParallelism(), cpuQuota() ?? Number.POSITIVE_INFINITY),
    memoryLimitBytes: memoryLimit(),
    hasReusePort: process.platform === 'linux' && hasReusePort(process.versions.node),
  };
}

/** `reusePort` came with Node 22.12 (and 23.1). */
export function hasReusePort(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > 23 || (major === 23 && minor >= 1) || (major === 22 && minor >= 12);
}

function cpuQuota(): number | undefined {
  const [quota, period] = (readText('/sys/fs/cgroup/cpu.max') ?? 'max').split(' ');
  if (quota !== undefined && quota !== 'max') return positive(Number(quota) / Number(period));
  const v1Quota = Number(readText('/sys/fs/cgroup/cpu/cpu.cfs_quota_us'));
  const v1Period = Number(readText('/sys/fs/cgroup/cpu/cpu.cfs_period_us'));
  return positive(v1Quota / v1Period);
}

function memoryLimit(): number | undefined {
  const text =
    readText('/sys/fs/cgroup/memory.max') ??
    readText('/sys/fs/cgroup/memory/memory.limit_in_bytes') ??
    'max';
  const bytes = positive(Number(text));
  return bytes === undefined || bytes > unlimitedBytes ? undefined : bytes;
}

function positive(value: number): number | undefined {
  return Number.isFinite(value) && value > 0 ? value : undefined;
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    // Not on this kernel, or not in a cgroup: the next source is asked.
    return undefined;
  }
}
