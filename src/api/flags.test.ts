// Flags and their environment twins: who wins, what lists are, what is refused and in which words.
// Settings that need two flags to judge are in settings.test.ts of the commands.
import { describe, expect, test } from 'vitest';
import { flagTable } from './flag-table.ts';
import { flagsNotBuilt, resolveFlags } from './flags.ts';
import { meshSettingsOf, readFlags } from './mesh-settings.ts';

type Given = Readonly<Record<string, readonly string[]>>;

function resolved(given: Given, environment: Readonly<Record<string, string>> = {}) {
  return resolveFlags('proxy', new Map(Object.entries(given)), environment);
}

function read(given: Given, environment: Readonly<Record<string, string>> = {}) {
  const values = resolved(given, environment);
  if ('complaint' in values) throw new Error(values.complaint);
  return readFlags(values);
}

function complaint(given: Given, environment: Readonly<Record<string, string>> = {}): string {
  const values = resolved(given, environment);
  return 'complaint' in values ? values.complaint : 'none';
}

describe('where a value comes from', () => {
  test('a flag beats its environment twin, which beats the default', () => {
    const environment = { WEFT_POLICY: 'audit' };
    expect(read({}).text('policy')).toBe('off');
    expect(read({}, environment).text('policy')).toBe('audit');
    expect(read({ policy: ['enforce'] }, environment).text('policy')).toBe('enforce');
  });

  test("the twin beats the downward API's name", () => {
    const downward = { NODE_NAME: 'node-a' };
    expect(read({}, downward).text('node-name')).toBe('node-a');
    expect(read({}, { ...downward, WEFT_NODE_NAME: 'node-b' }).text('node-name')).toBe('node-b');
  });

  test('an empty variable says nothing', () => {
    expect(read({}, { WEFT_POLICY: '' }).text('policy')).toBe('off');
  });

  test('of a single value that is given twice the last one counts', () => {
    expect(read({ policy: ['audit', 'enforce'] }).text('policy')).toBe('enforce');
  });

  test('lists are repeated flags, or one variable with commas', () => {
    expect(read({ 'mesh-domain': ['mesh', 'traefik.mesh'] }).texts('mesh-domain')).toEqual([
      'mesh',
      'traefik.mesh',
    ]);
    expect(read({}, { WEFT_MESH_DOMAIN: 'mesh, traefik.mesh' }).texts('mesh-domain')).toEqual([
      'mesh',
      'traefik.mesh',
    ]);
  });

  test('a flag of another command is no flag of this one', () => {
    const values = resolveFlags('controller', new Map(), { WEFT_WORKERS: 'many', NODE_NAME: 'n' });
    expect('complaint' in values ? values : [...values.keys()]).not.toContain('workers');
    expect(values).not.toHaveProperty('complaint');
  });

  test('each default passes its own check, for every command', () => {
    for (const owner of ['proxy', 'controller'] as const) {
      expect(resolveFlags(owner, new Map(), {})).not.toHaveProperty('complaint');
    }
    expect(new Set(flagTable.map(({ name }) => name)).size).toBe(flagTable.length);
  });
});

describe('typed readings', () => {
  test('counts, durations, sizes and switches are read with their units', () => {
    const flags = read({
      workers: ['3'],
      'drain-delay': ['1m30s'],
      'max-head-bytes': ['16Ki'],
      'test-hooks': ['true'],
    });
    expect(flags.count('workers')).toBe(3);
    expect(flags.ms('drain-delay')).toBe(90_000);
    expect(flags.bytes('max-head-bytes')).toBe(16_384);
    expect(flags.isOn('test-hooks')).toBe(true);
    expect(flags.isOn('acl')).toBe(false);
    expect(flags.count('no-such-flag')).toBeUndefined();
  });

  test('mesh settings: --acl is --policy enforce, domains are canonical and told once', () => {
    const values = resolved({
      acl: ['true'],
      policy: ['off'],
      'mesh-domain': ['Mesh.', 'mesh', 'traefik.mesh'],
      'cluster-domain': ['Cluster.Local'],
    });
    if ('complaint' in values) throw new Error(values.complaint);
    expect(meshSettingsOf(values)).toMatchObject({
      policy: 'enforce',
      meshDomains: ['mesh', 'traefik.mesh'],
      clusterDomain: 'cluster.local',
      trustDomain: 'cluster.local',
    });
  });
});

describe('bad values', () => {
  test.each([
    ['policy', 'strict', '--policy takes one of off, audit, enforce, not "strict"'],
    ['workers', '0', '--workers takes a whole number from 1, not "0"'],
    ['workers', '1e3', '--workers takes a whole number from 1, not "1e3"'],
    ['workers', '-1', '--workers takes a whole number from 1, not "-1"'],
    ['admin-port', '65536', '--admin-port takes a port number, not "65536"'],
    ['admin-port', '0x10', '--admin-port takes a port number, not "0x10"'],
    ['drain-delay', '5', '--drain-delay takes a duration such as 250ms, 5s or 1m30s, not "5"'],
    ['max-head-bytes', 'big', '--max-head-bytes takes a size such as 32Ki or 512Mi, not "big"'],
    ['test-hooks', 'yes', '--test-hooks takes true or false, not "yes"'],
    ['kubeconfig', '', '--kubeconfig takes a value, not ""'],
    ['bind-address', 'localhost', '--bind-address takes an IP address, not "localhost"'],
    ['bind-address', '10.0.0.256', '--bind-address takes an IP address, not "10.0.0.256"'],
    ['mesh-domain', 'me sh', '--mesh-domain takes a DNS name, not "me sh"'],
    ['mesh-domain', '.', '--mesh-domain takes a DNS name, not "."'],
    ['mesh-namespace', 'Weft', '--mesh-namespace takes the name of a namespace, not "Weft"'],
  ])('--%s %s is refused', (flag, value, expected) => {
    expect(complaint({ [flag]: [value] })).toBe(expected);
  });

  test.each(['10.0.0.0/33', '10.0.0/8', '::/129', 'shop', 'shop/front/x', '10.0.0.1', 'a//8', ''])(
    'the trusted source "%s" is refused',
    (value) => {
      expect(complaint({ 'trusted-sources': [value] })).toContain('namespace/serviceaccount or a');
    },
  );

  test('trusted sources are principals and ranges of both families', () => {
    const good = ['shop/front', 'shop/front.v2', '10.0.0.0/8', 'fd00::/8', '0.0.0.0/0'];
    expect(read({ 'trusted-sources': good }).texts('trusted-sources')).toEqual(good);
  });

  test('one bad entry of a list is found', () => {
    expect(complaint({ 'bind-address': ['127.0.0.1', '::1', 'eth0'] })).toContain('"eth0"');
  });

  test('the complaint names the variable when that is where it was said', () => {
    expect(complaint({}, { WEFT_WORKERS: 'all' })).toBe(
      'WEFT_WORKERS takes a whole number from 1, not "all"',
    );
    expect(complaint({}, { POD_IP: 'none' })).toContain('POD_IP takes an IP address');
  });

  test('a complaint is one line, however long or broken the value is', () => {
    const text = complaint({ policy: [`a\n${'b'.repeat(5_000)}`] });
    expect(text).not.toContain('\n');
    expect(text.length).toBeLessThan(200);
  });
});

test('flags of parts that are not built are taken, and named when they were set', () => {
  const values = resolved({ 'trace-sample': ['0.1'], mtls: ['permissive'] });
  if ('complaint' in values) throw new Error(values.complaint);
  expect(flagsNotBuilt(values)).toEqual(['--trace-sample']);
  expect(resolved({ 'tunnel-port': ['x'] })).toHaveProperty('complaint');
});

test('an environment switch may say 1', () => {
  const values = resolved({}, { WEFT_ACL: '1' });
  if ('complaint' in values) throw new Error(values.complaint);
  expect(meshSettingsOf(values).policy).toBe('enforce');
});
