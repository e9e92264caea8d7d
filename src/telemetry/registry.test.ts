// What a scrape sees: sums over living and dead workers, both formats, and a page at most once a
// second.
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { createRegistry } from './control.ts';
import { MeterArena } from './meter-arena.ts';
import type { SeriesDefinition } from './meter-arena.ts';
import { renderMetricsReference } from './metrics-reference.ts';

const openMetrics = 'application/openmetrics-text; version=1.0.0';

function fixture() {
  let nowMs = 0;
  const registry = createRegistry({
    clock: { nowMs: () => nowMs, wallMs: () => nowMs },
    component: 'proxy',
    version: '1.2.3',
    nodeVersion: '24.0.0',
  });
  const startWorker = (index: number) => {
    const announced: SeriesDefinition[] = [];
    const arena = new MeterArena(registry.openArena(index), (series) => announced.push(series));
    return { arena, announce: () => registry.define(index, announced.splice(0)) };
  };
  /** The lines of one metric, without those of other metrics. */
  const scrape = async (name: string, accept?: string) => {
    nowMs += 1_000;
    const { body } = await registry.render(accept);
    return body.split('\n').filter((line) => line.startsWith(name));
  };
  const wait = (ms: number) => {
    nowMs += ms;
  };
  return { registry, startWorker, scrape, wait };
}

const service = { destination_namespace: 'shop', destination_service: 'web' };
const destination = { ...service, destination_workload: 'Deployment/web' };
const attempts = (code: string) => ({ ...destination, code });

describe('MeterRegistry', () => {
  test('a series is the sum over all workers', async () => {
    const { startWorker, scrape } = fixture();
    for (const [index, count] of [3, 4].entries()) {
      const { arena, announce } = startWorker(index);
      arena.add(arena.counter('weft_http_attempts_total', attempts('200')), count);
      announce();
    }
    expect(await scrape('weft_http_attempts_total')).toEqual([
      'weft_http_attempts_total{destination_namespace="shop",' +
        'destination_workload="Deployment/web",destination_service="web",code="200"} 7',
    ]);
  });

  test('what a dead worker counted stays; what it had in flight goes', async () => {
    const { startWorker, scrape, registry } = fixture();
    for (let life = 0; life < 3; life += 1) {
      const { arena, announce } = startWorker(0);
      arena.add(arena.counter('weft_http_attempts_total', attempts('200')), 1);
      arena.add(arena.gauge('weft_http_requests_in_flight', service), 1);
      arena.observe(arena.histogram('weft_http_attempt_duration_seconds', destination), 0.5);
      announce();
    }
    registry.retireArena(0);
    expect((await scrape('weft_http_attempts_total'))[0]).toMatch(/ 3$/);
    expect(await scrape('weft_http_requests_in_flight')).toEqual([]);
    const sum = await scrape('weft_http_attempt_duration_seconds_sum');
    expect(sum[0]).toMatch(/ 1\.5$/);
  });

  test('buckets are cumulative and end in +Inf', async () => {
    const { scrape, registry } = fixture();
    const cell = registry.meters.histogram('weft_config_applied_seconds', {});
    for (const seconds of [0.001, 0.02, 0.02, 60]) registry.meters.observe(cell, seconds);
    const lines = await scrape('weft_config_applied_seconds');
    expect(lines[0]).toBe('weft_config_applied_seconds_bucket{le="0.001"} 1');
    expect(lines).toContain('weft_config_applied_seconds_bucket{le="0.025"} 3');
    expect(lines).toContain('weft_config_applied_seconds_bucket{le="10"} 3');
    expect(lines.slice(-3)).toEqual([
      'weft_config_applied_seconds_bucket{le="+Inf"} 4',
      'weft_config_applied_seconds_sum 60.041',
      'weft_config_applied_seconds_count 4',
    ]);
  });

  test('a sampled gauge shows only what is true at the scrape', async () => {
    const { scrape, registry } = fixture();
    let version = 'aaaa';
    registry.sample('weft_config_version_info', () => [{ labels: { version }, value: 1 }]);
    expect(await scrape('weft_config_version_info')).toEqual([
      'weft_config_version_info{version="aaaa"} 1',
    ]);
    version = 'bbbb';
    expect(await scrape('weft_config_version_info')).toEqual([
      'weft_config_version_info{version="bbbb"} 1',
    ]);
  });

  test('OpenMetrics is answered when Accept asks for it, with the same names', async () => {
    const { scrape, registry } = fixture();
    registry.meters.add(registry.meters.counter('weft_bugs_total', {}), 2);
    const page = await registry.render(`${openMetrics},text/plain;q=0.5`);
    expect(page.contentType).toContain('application/openmetrics-text');
    expect(page.body.endsWith('# EOF\n')).toBe(true);
    expect(page.body).toContain('# TYPE weft_bugs counter\nweft_bugs_total 2\n');
    expect(page.body).toContain('\nprocess_cpu_seconds_total ');
    expect(await scrape('weft_bugs_total')).toEqual(['weft_bugs_total 2']);
    const text = await registry.render(undefined);
    expect(text.contentType).toContain('text/plain');
    const cpu = 'process_cpu_seconds_total';
    expect(text.body).toContain(`# TYPE ${cpu} counter\n${cpu} `);
    expect(text.body).toContain(
      'weft_build_info{version="1.2.3",node_version="24.0.0",component="proxy"} 1',
    );
  });

  test('a page is rendered at most once a second', async () => {
    const { registry, wait } = fixture();
    let renderings = 0;
    registry.sample('weft_leader', () => [{ labels: {}, value: (renderings += 1) }]);
    const first = await registry.render(undefined);
    expect(await registry.render(undefined)).toBe(first);
    wait(1_000);
    expect(await registry.render(undefined)).not.toBe(first);
    expect(renderings).toBe(2);
  });

  test('label values are escaped', async () => {
    const { registry, scrape } = fixture();
    registry.sample('weft_problems', () => [
      { labels: { kind: 'Service', reason: 'a"b\\c\nd' }, value: 1 },
    ]);
    expect(await scrape('weft_problems')).toEqual([
      'weft_problems{kind="Service",reason="a\\"b\\\\c\\nd"} 1',
    ]);
  });
});

test('docs/reference/metrics.md is what the table says', () => {
  const path = new URL('../../docs/reference/metrics.md', import.meta.url);
  if (process.env.UPDATE_GOLDEN === '1' && process.env.CI === undefined) {
    writeFileSync(path, renderMetricsReference());
  }
  expect(readFileSync(path, 'utf8')).toBe(renderMetricsReference());
});
